"""``puretune run`` and ``puretune schema``: what goes where, and what is said."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.cli import main
from puretune.cli._progress import progress
from puretune.cli.run import run, schema
from puretune.errors import InputError
from puretune.events import Advanced, Event, Finished, Started
from puretune.study import find_study, json_schema
from tests.study.studies import small_model, small_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study")
    tuning = {"data": "sums.jsonl", "recipe": {"steps": 2, "rank": 2}}
    return small_study(directory, small_model(directory / "base"), tuning=tuning)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(run, [str(argument) for argument in arguments])


def test_a_dry_run_shows_the_plan_and_writes_nothing(study: Path, tmp_path: Path) -> None:
    done = invoke(study, "--dry-run", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    for said in (
        "chat:llama",
        "plan: 2 tune -> 6 answer -> 6 score -> 6 cell",
        "sums (4 prompts)",
        "tokens to train on",
        "answers to generate: 24 of 24",
    ):
        assert said in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_references_that_do_not_fit_their_scorers(study: Path, tmp_path: Path) -> None:
    changed = study.with_name("wrong.yaml")
    changed.write_text(study.read_text().replace("gsm8k", "regex"))
    done = invoke(changed, "--dry-run", "--out", tmp_path / "run")
    assert isinstance(done.exception, InputError)
    assert "regex needs a text `pattern`" in str(done.exception)


def test_a_dry_run_counts_tokens_with_and_without_the_shared_system_prompt(
    study: Path, tmp_path: Path
) -> None:
    from puretune.study import Study, count, plan_study

    vanilla, llama = count(plan_study(Study.load(study)), tmp_path).tunes
    assert llama.tokens > vanilla.tokens
    assert llama.tokens > 3 * llama.distinct
    assert llama.distinct == vanilla.distinct
    assert llama.trained == vanilla.trained < vanilla.tokens


def test_a_run_prints_the_matrix_and_the_paths_of_its_files(study: Path, tmp_path: Path) -> None:
    done = invoke(study, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "Exact match" in done.stdout
    paths = [Path(line) for line in done.stdout.splitlines()[-3:]]
    assert [path.name for path in paths] == ["report.html", "report.md", "results.json"]
    assert all(path.is_file() for path in paths)
    assert "answer: 24 to do" in done.stderr
    assert "answer" not in done.stdout.splitlines()[0]

    after = invoke(study, "--dry-run", "--out", tmp_path / "run")
    assert "answers to generate: 0 of 24 (24 in the store already)" in after.stdout
    quiet = invoke(study, "--out", tmp_path / "run", "--quiet")
    assert quiet.stderr == ""
    assert quiet.stdout == done.stdout


def test_ctrl_c_says_how_to_resume(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("puretune.study._run.work", interrupted)
    monkeypatch.setattr(sys, "argv", ["puretune", "run", str(study), "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    assert "Run the same command to resume" in capsys.readouterr().err


def test_a_missing_study_names_what_was_tried_and_the_nearest(study: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*studi\.yaml.*Did you mean 'study\.yaml'"):
        find_study(study.with_name("studi.yaml"))
    with pytest.raises(InputError, match="Did you mean 'lab-demo'"):
        find_study("lab-dmo")
    with pytest.raises(InputError, match="is a directory"):
        find_study(study.parent)


def test_the_schema_goes_to_stdout_or_to_a_file(tmp_path: Path) -> None:
    assert json.loads(CliRunner().invoke(schema).stdout) == json_schema()
    done = CliRunner().invoke(schema, ["--out", str(tmp_path / "study.schema.json")])
    assert done.exit_code == 0
    assert json.loads((tmp_path / "study.schema.json").read_text()) == json_schema()


EVENTS: list[Event] = [
    Started("plan"),
    Finished("plan", "2 adapters"),
    Started("tune [bold]x[/]", 3),
    Advanced("tune [bold]x[/]", 1, "loss 2.1"),
    Finished("tune [bold]x[/]"),
]


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as sink:
        for event in EVENTS:
            sink(event)
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert drawn.err.splitlines()[0] == "plan ..."
    assert "(2 adapters)" in drawn.err
    assert "tune [bold]x[/]: 3 to do" in drawn.err
    assert "\x1b" not in drawn.err


def test_plain_lines_say_how_long_the_rest_will_take(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter((0.0, 100.0, 160.0, 220.0))
    monkeypatch.setattr("puretune.cli._progress.time.monotonic", lambda: next(moments))
    with progress() as sink:
        for event in (Started("tune", 100), *(Advanced("tune", done) for done in (50, 55, 60))):
            sink(event)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "tune: 100 to do",
        "tune: 50 of 100",  # where an interrupted run had come to: nothing is known of its rate
        "tune: 55 of 100, about 9 min left",
        "tune: 60 of 100, about 8 min left",
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_bars_on_a_terminal_without_colour_where_that_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with progress() as sink:
        for event in EVENTS:
            sink(event)
    drawn = terminal.getvalue()
    assert "plan: done in" in drawn
    assert "tune [bold]x[/]: done in" in drawn
    assert "\x1b[3" not in drawn  # no foreground colour


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as sink:
        sink(Started("plan"))
    assert capsys.readouterr().err == ""


works = st.sampled_from(["plan", "tune", "answer"])
events = st.lists(
    st.builds(Started, works, st.none() | st.integers(0, 9))
    | st.builds(Advanced, works, st.integers(0, 9), st.text())
    | st.builds(Finished, works, st.text())
)


@settings(deadline=None)
@given(events, st.booleans())
def test_no_order_of_events_breaks_the_drawing(given_events: list[Event], terminal: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", _Terminal() if terminal else io.StringIO())
        with progress() as sink:
            for event in given_events:
                sink(event)


def test_a_file_in_the_place_of_the_run_directory_is_named_in_a_dry_run_too(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for more in ([], ["--dry-run"]):
        arguments = ["puretune", "run", str(study), "--out", str(tmp_path / "notes.txt"), *more]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert "notes.txt is a file" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"
