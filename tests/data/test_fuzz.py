"""Whatever a file holds: examples, or one InputError that names it. Never another exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puretune.data import FORMATS, SourceSpec, check_source, data_digest, read_source
from puretune.errors import InputError

KINDS = st.sampled_from(["jsonl", "json", "csv", "tsv", "ndjson", "parquet"])
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)  # lone halves too
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        *("messages", "conversations", "prompt", "completion", "question", "answer", "instruction", "input"),
        *("output", "context", "history", "system", "id", "metadata", "cluster", "response", "weight"),
    ]
)
TURNS = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "from", "value", "weight", "train", "name"]),
        st.sampled_from(["user", "assistant", "gpt", "human", "system", "hi"]) | VALUES,
        max_size=4,
    ),
    max_size=4,
)
ROWS = st.lists(st.dictionaries(NAMES | TEXT, st.just("text") | VALUES | TURNS, max_size=5), max_size=4)
SETTINGS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def must_read_or_say(path: Path, **more: Any) -> None:
    """Both readers end with examples or an InputError of one readable message."""
    for use in (lambda spec: data_digest(read_source(spec)), check_source):
        try:
            use(SourceSpec(str(path), **more))
        except InputError as error:
            said = str(error)
            assert said
            assert "Traceback" not in said
            assert "<class" not in said
            assert "object at 0x" not in said
            said.encode("utf-8")


@settings(max_examples=60, **SETTINGS)
@given(content=st.binary(max_size=200), kind=KINDS)
def test_random_bytes(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / f"mine.{kind}"
    path.write_bytes(content)
    must_read_or_say(path)


@settings(max_examples=60, **SETTINGS)
@given(rows=ROWS, kind=st.sampled_from(["jsonl", "json"]), format=st.none() | st.sampled_from(FORMATS))
def test_rows_of_any_value_under_known_names(
    tmp_path: Path, rows: list[dict[str, Any]], kind: str, format: str | None
) -> None:
    path = tmp_path / f"mine.{kind}"
    text = json.dumps(rows) if kind == "json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text)
    must_read_or_say(path, format=format)


@settings(max_examples=80, **SETTINGS)
@given(
    cells=st.lists(st.lists(TEXT, max_size=4), max_size=5),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    header=st.none() | st.booleans(),
    delimiter=st.none() | st.sampled_from([",", ";", "tab"]),
    first=st.sampled_from(["", "question,answer\n", "prompt\n"]),
)
def test_tables_of_any_cells(
    tmp_path: Path,
    cells: list[list[str]],
    separator: str,
    header: bool | None,
    delimiter: str | None,
    first: str,
) -> None:
    path = tmp_path / "mine.csv"
    text = first + "\n".join(separator.join(row) for row in cells)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    must_read_or_say(path, header=header, delimiter=delimiter)


@settings(max_examples=60, **SETTINGS)
@given(place=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400))
def test_a_good_file_with_one_byte_changed_or_cut_short(
    tmp_path: Path, place: int, byte: int, cut: int
) -> None:
    turns = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "Two."}]
    good = "".join(json.dumps({"id": n, "messages": turns, "metadata": {"k": [n]}}) + "\n" for n in range(3))
    content = bytearray(good.encode())
    content[place % len(content)] = byte
    for kind in ("jsonl", "json"):
        path = tmp_path / f"mine.{kind}"
        path.write_bytes(bytes(content[: cut or None]))
        must_read_or_say(path)


@settings(max_examples=15, **SETTINGS)
@given(place=st.integers(0, 3000), byte=st.integers(0, 255))
def test_a_parquet_file_with_one_byte_changed(tmp_path: Path, place: int, byte: int) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "mine.parquet"
    pandas.DataFrame({"question": ["a?", "b?"], "answer": ["x", "y"]}).to_parquet(path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(bytes(content))
    must_read_or_say(path)


@pytest.mark.parametrize(
    "line",
    [
        '{"question": "a", "question": "b"}',
        '{"question": "a", "answer": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"question": "a", "score": ' + "9" * 5000 + "}",
        '{"question": "a", "score": 1e999}',
        '{"question": "a\\u0000b"}',
        '{"question": "a", "id": "\\ud800"}',
        '{"question": "a", "metadata": {"k": ["\\udfff"]}}',
        "null",
        '"text"',
    ],
)
def test_known_traps_are_told_with_their_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "fine"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"^mine\.jsonl:2: "):
        read_source(SourceSpec(str(path)))
