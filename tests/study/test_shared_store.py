"""A study whose store is a bucket: machines share what was computed, and nothing is computed twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from puretune.errors import EnvironmentFault
from puretune.events import Advanced, Event
from puretune.store import open_store
from puretune.study import Study, plan_study, run_study
from tests.object_server import SECRET, Server, object_server, server, url
from tests.study.studies import small_study
from tests.study.test_run import ONE_SEED, Watch, cells_text

__all__ = ["object_server", "server", "url"]


@pytest.fixture
def study(tmp_path: Path, model: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("PURETUNE_STORE", url)
    return Study.load(small_study(tmp_path, model, tuning=ONE_SEED, train=["CV"], test=["CV", "CL"]))


def test_one_machine_goes_on_where_another_was_stopped(
    tmp_path: Path, study: Study, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail(0.05, seed=5)

    def interrupt(event: Event) -> None:
        if isinstance(event, Advanced) and event.work == "answer" and event.done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "one", interrupt)
    second, third = Watch(), Watch()
    run_study(study, tmp_path / "two", second)
    assert second.started["answer"] == 4
    assert not [work for work in second.started if work.startswith("tune")]
    run_study(study, tmp_path / "three", third)
    assert set(third.started) == {"plan"}
    monkeypatch.delenv("PURETUNE_STORE")
    run_study(study, tmp_path / "alone")
    for name in ("answers.jsonl", "verdicts.jsonl"):
        texts = {(tmp_path / run / name).read_bytes() for run in ("two", "three", "alone")}
        assert len(texts) == 1
    assert len({cells_text(tmp_path / run) for run in ("two", "three", "alone")}) == 1
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_a_second_driver_is_refused(tmp_path: Path, study: Study) -> None:
    key = plan_study(study).key
    with open_store(tmp_path / "one").held(key), pytest.raises(EnvironmentFault, match="works on this study"):
        run_study(study, tmp_path / "two")
