"""Killed at any change of the file system, a run resumes to the bytes of one that was not disturbed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from puretune.study import Study, run_study
from tests.study.studies import STUDY, small_study

# One interpreter loads the libraries; forks of it run the study, each is killed at a later rename.
_KILLED_RUNS = """
import os, signal, sys
from pathlib import Path
import torch, transformers.models.llama.modeling_llama
from puretune.scoring import loopback_only
from puretune.events import ignore
from puretune.study import Study, run_study
study, out = sys.argv[1:3]
seen = []
def hook(event, arguments):
    if event == "os.rename":
        seen.append(event)
        if len(seen) == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
for at in range(2, 60, 2):
    child = os.fork()
    if child == 0:
        run_study(Study.load(study), Path(out), ignore, loopback_only)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, flush=True)
    if code != -signal.SIGKILL:
        break
"""


def test_killed_at_renames_it_resumes_to_the_same_bytes(tmp_path: Path, model: Path) -> None:
    tuning = {**STUDY["tuning"], "seeds": [0]}
    study = small_study(tmp_path, model, tuning=tuning, train=["CV"], test=["CV", "CL"])
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_RUNS, str(study), str(killed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    codes = [int(line) for line in done.stdout.split()]
    assert codes[-1] == 0
    assert len(codes) > 4
    assert set(codes[:-1]) == {-signal.SIGKILL}
    run_study(Study.load(study), whole)
    for name in ("answers.jsonl", "verdicts.jsonl", "plan.json", "study.yaml"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert _facts(killed) == _facts(whole)
    assert sorted(path.name for path in killed.iterdir()) == sorted(path.name for path in whole.iterdir())
    assert not [path for path in killed.rglob("*") if path.name.endswith(".tmp") or "damaged" in path.name]


def _facts(out: Path) -> object:
    """Cells and the digests of all adapters."""
    results = json.loads((out / "results.json").read_text())
    return results["cells"], results["provenance"]["adapters"]
