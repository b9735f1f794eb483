"""The store returns what was put, or nothing, or says which file is damaged."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.errors import CheckFailed, EnvironmentFault
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


@pytest.mark.parametrize("damage", ["changed", "cut", "missing"])
def test_a_damaged_file_is_named_and_never_returned(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    file = store.put_lines("answers", KEY, [{"text": "x"}]).path / "data.jsonl"
    if damage == "missing":
        file.unlink()
    else:
        file.write_text('{"text": "y"}\n' if damage == "changed" else '{"te')
    with pytest.raises(CheckFailed, match=r"data\.jsonl: .*Delete the directory"):
        store.get("answers", KEY)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"kind": "other", "key": "x", "files": {}}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str | None) -> None:
    store = Store(tmp_path)
    manifest = store.put_json("matrix", KEY, 1).path / "manifest.json"
    manifest.unlink() if content is None else manifest.write_text(content)
    with pytest.raises(CheckFailed, match=r"manifest\.json"):
        store.get("matrix", KEY)


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
