"""vLLM in a virtual environment and a process of its own: started once, asked once per run."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.speed._record import ROOT, cores

PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
_WORKER = Path(__file__).with_name("vllm_worker.py")

Tokens = dict[str, tuple[int, ...]]


class Server:
    """Answers the whole job each time it is called; its seconds are those of the answering alone."""

    def __init__(self, process: subprocess.Popen[str], version: str) -> None:
        self.process = process
        self.version = version
        self.seconds: float | None = None

    def __call__(self) -> Tokens:
        said = _ask(self.process, "run")
        self.seconds = said["seconds"]
        return {key: tuple(ids) for key, ids in said["answers"].items()}


@contextmanager
def server(job: dict[str, Any]) -> Iterator[Server | str]:
    """A started server, warm; or why there is none."""
    if not PYTHON.is_file():
        yield "not installed here (`make test-vllm` installs it)"
        return
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "job.json"
        file.write_text(json.dumps({**job, "threads": cores()}))
        with (Path(scratch) / "stderr").open("w+") as errors:
            process = subprocess.Popen(
                [str(PYTHON), str(_WORKER), str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
            )
            try:
                yield _started(process, errors)
            finally:
                process.stdin.close()  # type: ignore[union-attr]
                process.terminate()
                process.wait(30)


def _started(process: subprocess.Popen[str], errors: Any) -> Server | str:
    said = _line(process)
    if said is None:
        errors.seek(0)
        lines = [line for line in errors.read().splitlines() if "Error" in line]
        return f"does not start: {lines[-1][:200] if lines else 'it ended without a word'}"
    ready = Server(process, said["version"])
    ready()  # warm
    return ready


def _ask(process: subprocess.Popen[str], word: str) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()
    said = _line(process)
    if said is None:
        raise RuntimeError("vLLM's process has ended")
    return said


def _line(process: subprocess.Popen[str]) -> dict[str, Any] | None:
    """The next line of JSON that it prints; libraries print other things too. None: it has ended."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith('{"puretune"'):
            said: dict[str, Any] = json.loads(line)["puretune"]
            return said
    return None
