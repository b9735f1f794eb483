"""A run's log, and what ``puretune status`` reads in it: under way, after an error, after a kill."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from puretune.cli.status import status as command
from puretune.errors import InputError
from puretune.events import Advanced, Event
from puretune.study import Study, run_status, run_study
from tests.study.studies import small_study


@pytest.fixture
def study(tmp_path: Path, model: Path) -> Study:
    """One adapter, two cells."""
    return Study.load(small_study(tmp_path, model, train=["CV"]))


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_every_unit_has_its_keys_its_worker_and_its_seconds(study: Study, tmp_path: Path) -> None:
    run_study(study, tmp_path / "run", executor="local")
    log = lines(tmp_path / "run")
    assert [log[0]["event"], log[1]["event"], log[-1]["event"]] == ["run", "queued", "over"]
    began, ended = ([line for line in log if line["event"] == event] for event in ("began", "ended"))
    assert [(one["unit"], one["keys"]) for one in began] == [(one["unit"], one["keys"]) for one in ended]
    assert sum(log[1]["units"].values()) == len(ended)
    made = {path.name for path in (tmp_path / "run" / "store").glob("*/*/*")}
    assert {key for one in ended if one["work"] == "answer" for key in one["keys"]} <= made
    assert all(one["seconds"] >= 0 for one in ended)
    found = run_status(tmp_path / "run")
    assert found.state == "finished"
    assert all(work.done == work.total and not work.running for work in found.works.values())
    assert found.seconds_left == 0


def test_a_look_while_it_runs(study: Study, tmp_path: Path) -> None:
    looks = []

    def watch(event: Event) -> None:
        if isinstance(event, Advanced) and event.work == "answer":
            looks.append(run_status(tmp_path / "run"))

    run_study(study, tmp_path / "run", watch, executor="local")
    first = looks[0]
    assert first.state == "running"
    assert (first.works["tune"].done, first.works["answer"].running) == (1, 1)
    (worker,) = first.workers.values()
    assert worker.at == "answer"
    assert first.seconds_left is None  # no answers are finished yet: nobody knows


def test_an_error_is_in_the_log_and_a_resumed_run_starts_anew(study: Study, tmp_path: Path) -> None:
    def breaks(event: Event) -> None:
        if isinstance(event, Advanced) and event.work == "answer":
            raise ValueError("no more\x1b[31m")

    with pytest.raises(ValueError, match="no more"):
        run_study(study, tmp_path / "run", breaks, executor="local")
    failed = run_status(tmp_path / "run")
    assert failed.state == "failed"
    assert "ValueError: no more" in failed.error
    assert "\x1b" not in (tmp_path / "run" / "log.jsonl").read_text()
    assert failed.works["answer"].failed == 1
    run_study(study, tmp_path / "run", executor="local")
    assert run_status(tmp_path / "run").works["answer"].failed == 0


def test_a_killed_run_is_told_from_one_that_runs(study: Study, tmp_path: Path) -> None:
    run_study(study, tmp_path / "run", executor="local")
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "log.jsonl").write_text("".join(log[:-1]) + '{"time": "20')
    holder = tmp_path / "run" / ".lock-holder.json"
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    for pid, state in ((os.getpid(), "running"), (int(dead.stdout), "killed")):
        holder.write_text(json.dumps({"pid": pid, "host": socket.gethostname()}))
        assert run_status(tmp_path / "run").state == state


def test_the_command_shows_it_and_names_what_is_no_run(study: Study, tmp_path: Path) -> None:
    run_study(study, tmp_path / "run", executor="local")
    shown = CliRunner().invoke(command, [str(tmp_path / "run")], env={"COLUMNS": "80"})
    assert "run: finished" in shown.output
    answers = run_status(tmp_path / "run").works["answer"].total
    words = ["answer", str(answers), "of", str(answers)]
    assert words in [line.split()[:4] for line in shown.output.splitlines()]
    facts = json.loads(CliRunner().invoke(command, [str(tmp_path / "run"), "--json"]).output)
    assert facts["works"]["tune"]["done"] == 1
    for nothing in (tmp_path / "missing", tmp_path / "study.yaml"):
        with pytest.raises(InputError, match=r"has no log\.jsonl"):
            run_status(nothing)
