"""The store returns what was put, or nothing, or says which file is damaged."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.errors import EnvironmentFault
from puretune.store import Store, key_of, open_store

KEY = key_of({"a": 1})
texts = st.text(st.characters(exclude_categories=["Cs"]))
rows = st.lists(
    st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts, max_size=3), max_size=5
)


@settings(deadline=None)
@given(rows)
def test_rows_come_back_as_they_were_put(lines: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Store(Path(directory)).put_lines("answers", KEY, lines)
        kept = Store(Path(directory)).get("answers", KEY)
        assert kept is not None
        assert kept.lines() == lines


def test_a_json_value_and_what_its_maker_noted_come_back(tmp_path: Path) -> None:
    Store(tmp_path).put_json("matrix", KEY, {"x": [1, None, 0.1]}, about={"seconds": 2.5})
    kept = Store(tmp_path).get("matrix", KEY)
    assert kept is not None
    assert kept.json() == {"x": [1, None, 0.1]}
    assert kept.about == {"seconds": 2.5}


def test_a_directory_is_copied_in(tmp_path: Path) -> None:
    source = tmp_path / "made"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "weights").write_bytes(b"\x00\x01")
    kept = Store(tmp_path / "store").put_directory("adapter", KEY, source)
    (source / "sub" / "weights").write_bytes(b"changed later")
    assert (kept.directory / "sub" / "weights").read_bytes() == b"\x00\x01"


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.get("answers", KEY) is None
    assert not store.has("answers", KEY)


def change(path: Path) -> None:
    (path / "data.jsonl").write_text('{"text": "y"}\n')


def cut(path: Path) -> None:
    (path / "data.jsonl").write_text('{"te')


def lose(path: Path) -> None:
    (path / "data.jsonl").unlink()


def replace_by_directory(path: Path) -> None:
    (path / "data.jsonl").unlink()
    (path / "data.jsonl").mkdir()


def manifest_of(content: str) -> Callable[[Path], object]:
    return lambda path: (path / "manifest.json").write_text(content)


def lose_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


def manifest_becomes_directory(path: Path) -> None:
    (path / "manifest.json").unlink()
    (path / "manifest.json").mkdir()


def become_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("a file")


def change_note(path: Path) -> None:
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"seconds": 1', '"seconds": 3'))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (change, r"the content of data\.jsonl is not what was published"),
        (cut, r"the content of data\.jsonl is not"),
        (lose, r"data\.jsonl is missing"),
        (replace_by_directory, r"data\.jsonl cannot be read"),
        (lose_manifest, "manifest"),
        (manifest_becomes_directory, "this is a directory"),
        (become_a_file, "manifest"),
        (change_note, r"manifest\.json is not what was published"),
        (manifest_of("{"), "not valid JSON"),
        (manifest_of("[]"), "expected a mapping"),
        (manifest_of("[" * 200_000), "nested too deeply"),
        (manifest_of('{"kind": "other", "key": "x", "files": {}}'), "describes something else"),
        (manifest_of(f'{{"kind": "answers", "key": "{KEY}", "files": 3}}'), "not what was published"),
    ],
)
def test_a_damaged_object_is_set_aside_named_and_missing(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    told: list[str] = []
    store = Store(tmp_path, told.append)
    path = store.put_lines("answers", KEY, [{"text": "x"}], {"seconds": 1}).path
    damage(path)
    assert store.get("answers", KEY) is None
    assert len(told) == 1
    assert re.search(said, told[0])
    assert (path.parent / f"damaged-1.{KEY}").exists()
    assert store.is_damaged("answers", KEY)
    store.put_lines("answers", KEY, [{"text": "x"}])
    again = store.get("answers", KEY)
    assert again is not None
    assert again.lines() == [{"text": "x"}]
    assert not store.is_damaged("answers", KEY)


def test_a_store_that_is_only_looked_at_is_left_as_it_is(tmp_path: Path) -> None:
    change(Store(tmp_path).put_lines("answers", KEY, [{"text": "x"}]).path)
    before = sorted(tmp_path.rglob("*"))
    assert Store(tmp_path, None).get("answers", KEY) is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_that_vanished_is_not_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentFault, match="was moved or removed during the run"):
        store.put_json("matrix", KEY, 1)
    assert not (tmp_path / "store").exists()


def test_halves_of_character_pairs_survive(tmp_path: Path) -> None:
    Store(tmp_path).put_lines("answers", KEY, [{"text": "a\ud800"}])
    kept = Store(tmp_path).get("answers", KEY)
    assert kept is not None
    assert kept.lines() == [{"text": "a\ud800"}]


def test_putting_again_keeps_the_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_json("matrix", KEY, "first")
    store.put_json("matrix", KEY, "second")
    kept = store.get("matrix", KEY)
    assert kept is not None
    assert kept.json() == "first"


def test_putting_over_a_damaged_object_heals_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.put_json("matrix", KEY, "first").path / "data.json").write_text("rubbish")
    store.put_json("matrix", KEY, "second")
    kept = store.get("matrix", KEY)
    assert kept is not None
    assert kept.json() == "second"


def test_a_failed_put_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(EnvironmentFault):
        store.put_directory("adapter", KEY, tmp_path / "is not there")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name.startswith(".")]


def test_a_run_contains_its_store_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PURETUNE_STORE", raising=False)
    assert open_store(tmp_path / "run").root == tmp_path / "run" / "store"
    monkeypatch.setenv("PURETUNE_STORE", str(tmp_path / "shared"))
    assert open_store(tmp_path / "run").root == tmp_path / "shared"


def test_a_store_that_cannot_be_made_is_an_environment_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot write"):
        Store(tmp_path / "file" / "store")
