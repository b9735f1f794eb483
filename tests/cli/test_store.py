"""``puretune store``: listing, verifying, measuring and cleaning, in words and as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from puretune.cli.store import store
from puretune.errors import EnvironmentFault, InputError
from puretune.store import Store, key_of
from puretune.study.plan.steps import TuneStep
from tests.object_server import SECRET, object_server, server, url

__all__ = ["object_server", "server", "url"]

KEYS = [key_of({"n": n}) for n in range(4)]
TUNE = TuneStep(KEYS[0], "plain", 0, {}, (4, 8))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory: an adapter of two kept steps, answers, their verdicts, and answers of another run."""
    kept = Store(tmp_path / "run" / "store")
    for step in TUNE.kept:
        about = {"condition": "a\x1b[31m\u202e", "seed": 0, "step": step, "digest": "d"}
        kept.put_json("adapter", TUNE.adapter_key(step), 1, about)
    for kind, key in (
        ("answers", KEYS[1]),
        ("verdicts", KEYS[2]),
        ("answers", KEYS[3]),
        ("rendering", KEYS[3]),
    ):
        kept.put_json(kind, key, 1, {"seconds": 1.5})
    plan = {
        "tune": [{"key": TUNE.key, "condition": "plain", "seed": 0, "kept": TUNE.kept, "needs": []}],
        "answer": [{"key": KEYS[1], "needs": [TUNE.adapter_key(8)]}],
        "score": [{"key": KEYS[2], "needs": [KEYS[1]]}],
        **{kind: [] for kind in ("transform", "sampled_score", "cell")},
    }
    (tmp_path / "run" / "plan.json").write_text(json.dumps(plan))
    return tmp_path / "run"


def ask(*arguments: object) -> Result:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(
        store, [str(one) for one in arguments], standalone_mode=False
    )
    if done.exception is not None:
        raise done.exception
    return done


def rows(done: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_ls_shows_what_made_each_object_in_80_columns(run: Path) -> None:
    shown = ask("ls", run).stdout.splitlines()
    assert len(shown) == 7
    assert max(map(len, shown)) <= 80
    assert "condition a\\x1b[31m\\u202e, seed" in "\n".join(shown)
    (answers,) = [row for row in rows(ask("ls", run, "--json")) if row["key"] == KEYS[1]]
    assert answers["kind"] == "answers"
    assert answers["about"] == {"seconds": 1.5}


def test_verify_names_what_is_damaged_and_sets_it_aside(run: Path) -> None:
    assert "6 objects verified" in ask("verify", run).stdout
    path = run / "store" / "answers" / KEYS[1][:2] / KEYS[1]
    (path / "data.json").write_text("2")
    done = ask("verify", run)
    assert done.return_value == 1
    assert f"damaged: answers {KEYS[1]}\n  the content of data.json is not what was published" in done.stdout
    assert [row["key"] for row in rows(ask("verify", run, "--json"))] == [KEYS[1]]
    assert path.exists()
    assert ask("verify", run, "--set-aside").return_value == 1
    assert not path.exists()
    assert ask("verify", run).return_value == 0
    assert "damaged" in ask("du", run).stdout


def test_du_counts_by_kind(run: Path) -> None:
    counted = {row["kind"]: row["objects"] for row in rows(ask("du", run, "--json"))}
    assert counted == {"adapter": 2, "answers": 2, "rendering": 1, "verdicts": 1}
    assert "adapter" in ask("du", run).stdout


def test_gc_removes_what_no_run_needs_and_only_when_told(run: Path) -> None:
    assert "Nothing to remove" in ask("gc", run, "--keep", run).stdout  # younger than a day
    unneeded = ("gc", run, "--keep", run, "--older-than", 0)
    for dry in ((), ("--dry-run",), ("--dry-run", "--yes")):
        assert "--yes does" in ask(*unneeded, *dry).stdout
    assert "Removed" in ask(*unneeded, "--yes").stdout
    left = {(row["kind"], row["key"]) for row in rows(ask("ls", run, "--json"))}
    adapters = {("adapter", TUNE.adapter_key(step)) for step in TUNE.kept}
    assert left == {*adapters, ("answers", KEYS[1]), ("verdicts", KEYS[2]), ("rendering", KEYS[3])}
    assert "Nothing to remove" in ask(*unneeded, "--yes").stdout


@pytest.mark.parametrize(
    "content", [None, "[]", "{}", '{"tune": 3}', '{"tune": [{}]}', "\0", '{"tune": ["x"]}']
)
def test_gc_stops_at_a_run_that_has_no_plan(run: Path, content: str | None) -> None:
    (run / "plan.json").unlink() if content is None else (run / "plan.json").write_text(content)
    with pytest.raises(InputError):
        ask("gc", run, "--keep", run, "--older-than", 0, "--yes")
    assert len(rows(ask("ls", run, "--json"))) == 6


@pytest.mark.parametrize("command", ["ls", "verify", "du", "gc"])
def test_no_store_is_an_input_error(command: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no store is named"):
        ask(command)
    with pytest.raises(InputError, match="no such directory"):
        ask(command, tmp_path / "nowhere")
    with pytest.raises(InputError, match="scheme must be one of"):
        ask(command, "http://somewhere/x")
    with pytest.raises(EnvironmentFault, match=r"Create the bucket|No credentials"):
        ask(command, "s3://nobodys-bucket")


def test_a_bucket_is_shown_like_a_directory(run: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from puretune.store import open_store

    monkeypatch.setenv("PURETUNE_STORE", url)
    shared = open_store(run)
    for row in rows(ask("ls", run, "--json")):
        assert shared.has(str(row["kind"]), str(row["key"]))
    done = ask("ls")
    assert len(done.stdout.splitlines()) == 7
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert f"6 objects verified in {url}: 0 damaged" in ask("verify").stdout
    assert "Removed" in ask("gc", url, "--keep", run, "--older-than", 0, "--yes").stdout
    assert sum(row["objects"] for row in rows(ask("du", "--json"))) == 5  # type: ignore[misc]
    assert SECRET not in done.stdout
