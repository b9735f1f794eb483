"""What was damaged in a run directory is set aside, named, and made again in the same run, byte for byte."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.events import Event, Started, Warned
from puretune.scoring import loopback_only
from puretune.study import Study, compare, load_results, plan_study, run_study
from tests.study.studies import STUDY, small_study

ONE_SEED = {**STUDY["tuning"], "seeds": [0]}
PUBLISHED = (
    "study.yaml", "plan.json", "answers.jsonl", "verdicts.jsonl", "results.json", "report.md", "report.html"
)  # fmt: skip


class Watch:
    """What a run warned of, and what it did."""

    def __init__(self) -> None:
        self.warned: list[str] = []
        self.started: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned):
            self.warned.append(event.text)
        if isinstance(event, Started):
            self.started.append(event.work)


def run(study: Path, out: Path) -> Watch:
    watch = Watch()
    run_study(Study.load(study), out, watch, loopback_only)
    return watch


def content(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in PUBLISHED}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A study file with its finished run beside it."""
    directory = tmp_path_factory.mktemp("finished")
    run(
        small_study(directory, model, tuning=ONE_SEED, train=["untuned", "CV"], test=["CV"]),
        directory / "run",
    )
    return directory


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> tuple[Path, Path]:
    """(study file, a copy of its run, at the place that it was made in)."""
    out = finished / "run"
    kept = tmp_path / "kept"
    shutil.copytree(out, kept)
    yield finished / "study.yaml", out
    shutil.rmtree(out)
    shutil.copytree(kept, out)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def nest(path: Path) -> None:
    path.write_text("[" * 200_000)


def become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [halve, flip, nest, become_directory, become_pipe])
def test_all_that_was_damaged_in_a_finished_run_is_made_again_at_once(
    copied: tuple[Path, Path], damage: Callable[[Path], None]
) -> None:
    study, out = copied
    before = content(out)
    for name in PUBLISHED:
        damage(out / name)
    watch = run(study, out)
    assert content(out) == before
    assert watch.started == ["plan"]
    for name in PUBLISHED:
        assert (out / f"damaged-1.{name}").exists()
        assert sum(f"/{name} was damaged" in text for text in watch.warned) == 1
    assert run(study, out).warned == []


@pytest.mark.parametrize("damage", [halve, flip, nest, become_directory, Path.unlink])
def test_a_damaged_record_of_the_run_is_made_again(
    copied: tuple[Path, Path], damage: Callable[[Path], None]
) -> None:
    study, out = copied
    before = content(out)
    damage(out / "run.json")
    run(study, out)
    assert content(out) == before
    assert run(study, out).warned == []


@pytest.mark.parametrize("damage", [halve, flip, become_directory, become_pipe])
def test_all_damaged_objects_are_computed_again_in_the_same_run(
    copied: tuple[Path, Path], damage: Callable[[Path], None]
) -> None:
    study, out = copied
    before = content(out)
    files = [path for kind in ("answers", "verdicts") for path in (out / "store" / kind).rglob("data.jsonl")]
    files += list((out / "store" / "adapter").rglob("adapter_model.safetensors"))
    for path in files:
        damage(path)
    watch = run(study, out)
    assert len(watch.warned) == len(files)
    after = content(out)
    assert after["answers.jsonl"] == before["answers.jsonl"]
    assert after["verdicts.jsonl"] == before["verdicts.jsonl"]
    assert json.loads(after["results.json"])["cells"] == json.loads(before["results.json"])["cells"]
    adapters = [json.loads(one["results.json"])["provenance"]["adapters"] for one in (before, after)]
    assert adapters[0] == adapters[1] != []
    assert run(study, out).started == ["plan"]


def test_what_was_changed_is_not_read(copied: tuple[Path, Path]) -> None:
    study, out = copied
    text = (out / "verdicts.jsonl").read_text()
    (out / "verdicts.jsonl").write_text(text.replace("false", "true"))
    flip(out / "results.json")
    with pytest.raises(CheckFailed, match=r"verdicts\.jsonl was damaged: .*Run the same command again"):
        compare(out)
    with pytest.raises(CheckFailed, match=r"results\.json was damaged"):
        load_results(out)
    run(study, out)
    assert compare(out)
    assert load_results(out / "results.json")


def test_a_report_is_of_the_results_beside_it_whatever_the_clock_says(copied: tuple[Path, Path]) -> None:
    study, out = copied
    for name in ("report.md", "report.html"):
        os.utime(out / name, (4e9, 4e9))
    other = Study.load(study).model_copy(update={"note": "Another note."})
    run_study(other, out)
    assert "Another note." in (out / "report.md").read_text()
    assert "Another note." in (out / "report.html").read_text()


def test_reports_are_added_to_a_run_that_has_none(copied: tuple[Path, Path]) -> None:
    study, out = copied
    before = content(out)
    for name in ("report.md", "report.html"):
        (out / name).unlink()
    assert run(study, out).warned == []
    assert content(out) == before


def test_the_directory_of_another_study_is_refused(copied: tuple[Path, Path]) -> None:
    study, out = copied
    before = content(out)
    other = Study.load(study).model_copy(update={"name": "differences"})
    with pytest.raises(InputError, match=r"the study 'sums', not of 'differences'\. Choose another --out"):
        run_study(other, out)
    (out / "run.json").unlink()
    with pytest.raises(InputError, match="the study 'sums', not of 'differences'"):
        run_study(other, out)
    assert content(out) == before


def test_a_run_of_another_layout_is_refused_and_left_as_it_is(copied: tuple[Path, Path]) -> None:
    study, out = copied
    plan = json.loads((out / "plan.json").read_text())
    old = json.dumps({name: value for name, value in plan.items() if name != "schema_version"})
    (out / "plan.json").write_text(old)
    record = json.loads((out / "run.json").read_text())
    record["files"]["plan.json"] = hashlib.sha256(old.encode()).hexdigest()
    (out / "run.json").write_text(json.dumps(record))
    before = content(out)
    with pytest.raises(InputError, match=r"a run of another version of puretune .* Choose another --out"):
        run(study, out)
    assert content(out) == before


def test_a_users_own_file_is_not_replaced(tmp_path: Path, model: Path) -> None:
    study = small_study(tmp_path, model)
    before = study.read_bytes()
    with pytest.raises(InputError, match=r"holds study\.yaml, which no run of puretune wrote"):
        run_study(Study.load(study), tmp_path)
    assert study.read_bytes() == before


def test_other_files_of_the_users_are_left_alone(tmp_path: Path, model: Path) -> None:
    study = Study.load(small_study(tmp_path, model, tuning=None, train=["untuned"], test=["CV"]))
    out = tmp_path / "run"
    (out / ".mine.tmp").mkdir(parents=True)
    (out / "scratch" / "mine").mkdir(parents=True)
    for name in (".mine.tmp/file", ".notes.tmp", "notes.md", "scratch/mine/file", "scratch/replies-1.jsonl"):
        (out / name).write_text("precious")
    run_study(study, out)
    for name in (".mine.tmp/file", ".notes.tmp", "notes.md", "scratch/mine/file"):
        assert (out / name).read_text() == "precious"


def test_a_directory_whose_name_is_no_text_is_refused_before_anything_is_computed(
    tmp_path: Path, model: Path
) -> None:
    study = Study.load(small_study(tmp_path, model))
    out = tmp_path / "bad\udcff"
    watch = Watch()
    with pytest.raises(InputError, match="half of a character pair"):
        run_study(study, out, watch)
    assert watch.started == ["plan"]
    assert not out.exists()


def test_a_current_directory_that_vanished_is_said_before_anything_is_computed(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.load(small_study(tmp_path, model))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(EnvironmentFault, match="the current directory is missing"):
        run_study(study, tmp_path / "run")


def test_a_run_directory_that_moves_away_is_said_and_not_made_anew(tmp_path: Path, model: Path) -> None:
    study = Study.load(small_study(tmp_path, model, tuning=None, train=["untuned"], test=["CV"]))
    out = tmp_path / "run"

    def move(event: Event) -> None:
        if isinstance(event, Started) and event.work == "answer":
            out.rename(tmp_path / "moved")

    with pytest.raises(EnvironmentFault, match="was moved or removed"):
        run_study(study, out, move)
    assert not out.exists()
    (tmp_path / "moved").rename(out)
    run_study(study, out)


def test_a_damaged_run_is_still_planned_without_a_change(copied: tuple[Path, Path]) -> None:
    from puretune.study import count

    study, out = copied
    halve(next((out / "store" / "answers").rglob("data.jsonl")))
    before = sorted(out.rglob("*"))
    count(plan_study(Study.load(study)), out)
    assert sorted(out.rglob("*")) == before
