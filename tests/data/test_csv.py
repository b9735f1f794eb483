"""CSV files as they are released: without a header line, with other separators, under any names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.data import SourceSpec, check_source, read_source
from puretune.errors import InputError

PROMPTS = 'Write a poem about the tide\n"Name three ferns, please"\nHow do I bake bread\n'


def spec_of(tmp_path: Path, text: str, name: str = "mine.csv", **more: Any) -> SourceSpec:
    (tmp_path / name).write_text(text)
    return SourceSpec(str(tmp_path / name), **more)


def queries(tmp_path: Path, text: str, name: str = "mine.csv", **more: Any) -> list[str]:
    return [example.query for example in read_source(spec_of(tmp_path, text, name, **more))]


def test_a_missing_header_line_is_told_and_every_row_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"header line seems to be missing.*`header: false`"):
        read_source(spec_of(tmp_path, PROMPTS))
    assert len(queries(tmp_path, PROMPTS, header=False)) == 3
    assert len(queries(tmp_path, PROMPTS, header=False, columns={"prompt": "1"})) == 3


@pytest.mark.parametrize("first", ["Write a poem about the tide", "Sing", "Name three ferns, please"])
def test_the_first_row_of_data_is_never_taken_for_a_column(tmp_path: Path, first: str) -> None:
    text = f'"{first}"\nHow do I bake bread\n'
    with pytest.raises(InputError, match="header line seems to be missing"):
        read_source(spec_of(tmp_path, text, columns={"question": first}))


def test_a_header_that_does_not_look_like_one_can_be_said_to_be_one(tmp_path: Path) -> None:
    text = "What should the model do?\nBake bread\n"
    columns = {"prompt": "What should the model do?"}
    assert queries(tmp_path, text, header=True, columns=columns) == ["Bake bread"]


def test_columns_without_a_header_line_are_numbered(tmp_path: Path) -> None:
    text = "1+1 is what?,Two\n2+2 is what?,Four\n"
    with pytest.raises(InputError, match=r"`columns: \{prompt: 1, completion: 2\}`"):
        read_source(spec_of(tmp_path, text))
    columns = {"prompt": "1", "completion": "2"}
    examples = read_source(spec_of(tmp_path, text, header=False, columns=columns))
    assert [(e.query, e.reference) for e in examples] == [("1+1 is what?", "Two"), ("2+2 is what?", "Four")]
    with pytest.raises(InputError, match="say what the 2 columns are"):
        read_source(spec_of(tmp_path, text, header=False))


def test_headers_in_other_languages_and_a_tables_index_are_headers(tmp_path: Path) -> None:
    columns = {"question": "frage", "answer": "réponse"}
    assert queries(tmp_path, ",frage,réponse\n0,Was?,Das.\n", columns=columns) == ["Was?"]


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "a.csv"), ("|", "a.csv"), ("\t", "a.csv"), (",", "a.tsv")]
)
def test_another_separator_is_read_off_the_header_line(tmp_path: Path, separator: str, name: str) -> None:
    text = f"question{separator}answer\nWhat?{separator}That.\n"
    assert queries(tmp_path, text, name) == ["What?"]
    given = "tab" if separator == "\t" else separator
    assert queries(tmp_path, text, name, delimiter=given) == ["What?"]


def test_a_separator_in_a_prompt_alone_is_text(tmp_path: Path) -> None:
    assert queries(tmp_path, "prompt\nRed; green?\n", "a.csv") == ["Red; green?"]


def test_the_line_in_which_a_spreadsheet_states_its_separator_is_read(tmp_path: Path) -> None:
    text = "sep=;\r\nquestion;answer\r\nWhat?;That.\r\nWhy?\r\n"
    with pytest.raises(InputError, match=r"a\.csv:4: 1 cells under a header of 2"):
        queries(tmp_path, text, "a.csv")
    assert queries(tmp_path, text.removesuffix("Why?\r\n"), "a.csv") == ["What?"]


def test_a_spreadsheets_unicode_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("question\tanswer\nWo, für wen?\tDort.\n", encoding="utf-16")
    assert [one.query for one in read_source(SourceSpec(str(path)))] == ["Wo, für wen?"]


def test_a_conversation_in_a_cell_is_read(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]
    cell = json.dumps(turns).replace('"', '""')
    assert queries(tmp_path, f'id,messages\n1,"{cell}"\n', "a.csv") == ["a?"]


@pytest.mark.parametrize("wrong", ["", "ab", "a", '"', "\n", "\0"])
def test_what_separates_nothing_is_no_delimiter(wrong: str) -> None:
    with pytest.raises(InputError, match="delimiter is"):
        SourceSpec("mine.csv", delimiter=wrong)


def test_rows_of_another_length_are_collected(tmp_path: Path) -> None:
    report = check_source(spec_of(tmp_path, "question,answer\na,b\nc\nd,e\nf,g,h\n"))
    assert [problem.split(":")[1] for problem in report.problems] == ["3", "5"]
    assert report.bad_rows == 2


def test_layout_settings_are_for_csv_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not read `header`"):
        read_source(spec_of(tmp_path, '{"prompt": "a"}\n', "a.jsonl", header=False))


def test_a_spreadsheets_header_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names column 'answer' twice"):
        read_source(spec_of(tmp_path, "question,answer,answer\na,b,c\n"))


def test_a_first_row_that_reads_like_the_columns_numbers_is_a_row(tmp_path: Path) -> None:
    rows = read_source(
        spec_of(tmp_path, "1,2\n3,4\n", header=False, columns={"prompt": "1", "completion": "2"})
    )
    assert [(row.query, row.reference) for row in rows] == [("1", "2"), ("3", "4")]


def test_blanks_around_a_columns_name_do_not_belong_to_it(tmp_path: Path) -> None:
    assert queries(tmp_path, " prompt , completion \n Bake? ,Yes\n") == [" Bake? "]
    with pytest.raises(InputError, match="names column 'prompt' twice"):
        read_source(spec_of(tmp_path, "prompt, prompt\na,b\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('prompt,completion\na,b\n"c,d\ne,f\n', r"mine\.csv:3: .*that no quote ends"),
        ('prompt,completion\n"a "b" c",d\n', r"mine\.csv:2: .*text follows the quote"),
    ],
)
def test_a_quote_that_is_wrong_is_named_with_the_line_where_its_row_begins(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_source(spec_of(tmp_path, text))
