"""Files as rows: every format reads the same, and a fault names its file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from puretune.data import read_rows
from puretune.data._csv import CsvLayout
from puretune.errors import EnvironmentFault, InputError

ROWS = [
    {"question": "How many?", "answer": "Two.\n#### 2"},
    {"question": 'Who, "he"?', "answer": "Ärzte, 医"},
]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def fields(path: Path) -> list[dict[str, object]]:
    return [dict(row.fields) for row in read_rows(path)]


def as_csv(separator: str) -> str:
    quoted = [[f'"{str(v).replace(chr(34), chr(34) * 2)}"' for v in row.values()] for row in ROWS]
    return "\n".join([f"question{separator}answer", *(separator.join(cells) for cells in quoted)])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        (
            "windows.jsonl",
            "\ufeff" + "\r\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS) + "\r\n\r\n",
        ),
        ("a.json", json.dumps(ROWS, indent=4)),
        ("object.json", json.dumps({"version": 1, "rows": ROWS})),
        ("lines.json", "\n".join(map(json.dumps, ROWS))),
        ("a.csv", as_csv(",")),
        ("bom.csv", "\ufeff" + as_csv(",") + "\n\n"),
        ("a.tsv", as_csv("\t")),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, content: str) -> None:
    assert fields(write(tmp_path / name, content)) == ROWS


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    import pandas

    pandas.DataFrame(ROWS).to_parquet(tmp_path / "a.parquet")
    assert fields(tmp_path / "a.parquet") == ROWS


def test_rows_are_counted_without_blank_lines_and_placed_with_them(tmp_path: Path) -> None:
    rows = list(read_rows(write(tmp_path / "a.jsonl", '{"a": 1}\n\n{"a": 2}\n')))
    assert [(row.where, row.number) for row in rows] == [("a.jsonl:1", 1), ("a.jsonl:3", 2)]


def test_a_line_separator_inside_a_json_string_does_not_end_the_line(tmp_path: Path) -> None:
    assert fields(write(tmp_path / "a.jsonl", '{"a": "x\u2028y\u0085z"}')) == [{"a": "x\u2028y\u0085z"}]


def test_a_cell_of_a_megabyte_is_read(tmp_path: Path) -> None:
    assert len(str(fields(write(tmp_path / "a.csv", "a\n" + "x" * 2**20))[0]["a"])) == 2**20


def test_a_header_line_may_be_missing_where_the_source_allows_it(tmp_path: Path) -> None:
    path = write(tmp_path / "prompts.csv", 'Write a poem\n"Sing, please"\n')
    assert [dict(r.fields) for r in read_rows(path, CsvLayout(known=(), sole="prompt"))] == [
        {"prompt": "Write a poem"},
        {"prompt": "Sing, please"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "a.jsonl:2: not valid JSON"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "a.jsonl:2: a list where an object"),
        ("a.jsonl", '{"a": NaN}\n', "a.jsonl:1: not valid JSON: NaN"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xe4"}\n', "a.jsonl:2: not UTF-8 (byte 0xe4)"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1: nested too deeply"),
        (
            "a.json",
            '[\n{"a": 1},\n{"a" 2}\n]',
            "a.json: not valid JSON: Expecting ':' delimiter (line 3, column 6)",
        ),
        ("a.json", '{"a": [1], "b": [2]}', "an object with 2 lists"),
        ("a.json", "[1]", "a.json, row 1: the number 1 where an object"),
        ("a.json", b'[\n{"a": "\xff"}]', "a.json:2: not UTF-8"),
        ("a.csv", "a,b\n1,2\n3\n", "a.csv:3: 1 cells under a header of 2 (a, b)"),
        ("a.csv", "a,a\n1,2\n", "a.csv:1: the header names column 'a' twice"),
        ("a.csv", 'a\n"x"y\n', "a.csv:2: not CSV"),
        ("a.parquet", "PAR", "not a readable Parquet file"),
        ("a.xlsx", "", "unknown kind of file '.xlsx'"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        list(read_rows(write(tmp_path / name, content)))
    assert message in str(caught.value)


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", "")
    with pytest.raises(InputError, match=r"Did you mean 'train\.jsonl'"):
        list(read_rows(tmp_path / "trian.jsonl"))


def test_parquet_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(EnvironmentFault, match=r"puretune\[data\]"):
        list(read_rows(write(tmp_path / "a.parquet", "")))
