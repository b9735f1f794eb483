"""Running a study: plan, compute what is missing, assemble, publish. Interrupted, it goes on where it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from puretune.events import EventSink, Finished, Started, ignore
from puretune.scoring import Consent, loopback_only
from puretune.store import lease, make_directory, open_store, sha256_file, write_text
from puretune.study._anchor import anchored
from puretune.study._assemble import assemble
from puretune.study._matrix import Matrix
from puretune.study._plan import Plan, plan
from puretune.study._results import load_results, results_text
from puretune.study._spec import Study
from puretune.study._work import work

RESULTS = "results.json"
_FILES = ("study.yaml", "plan.json", "answers.jsonl", "verdicts.jsonl", RESULTS)


def run_study(
    study: Study, out: Path, on_event: EventSink = ignore, consent: Consent = loopback_only
) -> Matrix:
    """The matrix of a study, computed in the run directory ``out`` as far as it is not there yet.

    Writes ``study.yaml``, ``plan.json``, ``answers.jsonl``, ``verdicts.jsonl`` and, last, ``results.json``. A
    directory may serve several studies: they share its store, and the last finished one has its files there.

    ``consent`` is shown what will go to judges behind endpoints, before anything is computed; it raises where
    the data may not leave this machine.

    InputError for a wrong study, before anything is computed; EnvironmentFault where ``out`` cannot be
    written or another process is at work in it; CheckFailed where a stored file has been damaged.
    """
    on_event(Started("plan"))
    planned = plan(study)
    on_event(Finished("plan", _size(planned)))
    with lease(make_directory(out)):
        store = open_store(out)
        finished = _finished(planned, out)
        if finished is None:
            work(planned, store, out / "scratch", on_event, consent)
            finished = assemble(planned, store, out)
            _publish(study, planned, finished, out)
        return finished


def _finished(planned: Plan, out: Path) -> Matrix | None:
    """The matrix in ``out``, where it is this very plan's and all its files are as they were written."""
    if not all((out / name).is_file() for name in _FILES):
        return None
    try:
        made = json.loads((out / "plan.json").read_text("utf-8"))
    except ValueError:
        return None
    if (made.get("key"), made.get("results")) != (planned.key, sha256_file(out / RESULTS)):
        return None
    return load_results(out / RESULTS)


def _publish(study: Study, planned: Plan, matrix: Matrix, out: Path) -> None:
    results = results_text(matrix)
    made = {**planned.to_json(), "results": hashlib.sha256(results.encode()).hexdigest()}
    write_text(out / "study.yaml", resolved_yaml(study))
    write_text(out / "plan.json", json.dumps(made, indent=1) + "\n")
    write_text(out / RESULTS, results)


def resolved_yaml(study: Study) -> str:
    """The study as YAML with every default spelled out and absolute paths: it runs from anywhere."""
    import yaml

    fields = anchored(study.model_dump(mode="json", exclude_none=True), Path.cwd())
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100)


def _size(planned: Plan) -> str:
    asked = sum(step.prompts for step in planned.answer)
    return f"{len(planned.tune)} adapters, {asked:,} prompts"
