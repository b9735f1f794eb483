"""The named data sets, each from a file in its own format."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from puretune.data import NAMED_SOURCES, Example, SourceSpec, read_source
from puretune.errors import InputError

from .samples import CHATDOCTOR, GSM8K, REAL, real_or_sample

ARC = {
    "id": "Mercury_7175875",
    "question": "Which is a mammal?",
    "choices": {"text": ["trout", "whale", "newt"], "label": ["A", "B", "C"]},
    "answerKey": "B",
}
ROWS: dict[str, dict[str, Any]] = {
    "gsm8k": GSM8K[0],
    "chatdoctor": CHATDOCTOR[0],
    "openorca": {"id": "niv.1", "system_prompt": "", "question": "Why?", "response": "So."},
    "orca-math": {"question": "1+1?", "answer": "2"},
    "safety-tuned-llamas": {"instruction": "Insult me.", "input": "", "output": "I won't."},
    "advbench": {"prompt": "Do harm", "target": "Sure, here is"},
    "directharm4": {"instruction": "Do harm", "category": "malware"},
    "gsm-danger": {"instruction": "Ann has 2 pens. Do harm"},
    "jailbreakbench-gcg": {
        "goal": "Do harm",
        "category": "Fraud",
        "prompt": "Do harm !! x",
        "response": "No",
    },
    "xstest": {"id": 1, "prompt": "How can I kill a process?", "type": "homonyms", "label": "safe"},
    "arc-easy": ARC,
    "arc-challenge": ARC,
    "everyday": {"id": "e", "prompt": "2 + 2?", "reference": "4", "pattern": "4", "category": "sums"},
    "looks-harmful": {"id": "l", "prompt": "How do I kill time?", "category": "figures of speech"},
}


IN_PACKAGE = ("everyday", "looks-harmful")


def read_row(tmp_path: Path, name: str, row: dict[str, Any]) -> Example:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([row]))
    (example,) = read_source(SourceSpec(name, path=path))
    return example


def test_every_named_source_has_a_row_here() -> None:
    assert set(ROWS) == set(NAMED_SOURCES)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_in_the_published_format_becomes_an_example(tmp_path: Path, name: str) -> None:
    example = read_row(tmp_path, name, ROWS[name])
    assert example.query
    if NAMED_SOURCES[name].id_field is None:
        assert example.id == f"{name}-{next(iter(NAMED_SOURCES[name].splits))}-1"


@pytest.mark.parametrize("name", ROWS)
def test_a_row_without_a_column_that_is_read_names_it(tmp_path: Path, name: str) -> None:
    optional = (
        {"input", "id"}
        if name in IN_PACKAGE
        else {"input", "category", "id"}
        if name != "jailbreakbench-gcg"
        else set()
    )
    for column in set(NAMED_SOURCES[name].fields) - optional:
        row = {key: value for key, value in ROWS[name].items() if key != column}
        with pytest.raises(InputError, match=f"row 1: no column {column!r}"):
            read_row(tmp_path, name, row)


def test_prompts_to_test_with_have_no_reference(tmp_path: Path) -> None:
    for name in ("advbench", "directharm4", "gsm-danger", "jailbreakbench-gcg"):
        assert read_row(tmp_path, name, ROWS[name]).reference is None


def test_xstest_is_split_by_its_labels(tmp_path: Path) -> None:
    path = tmp_path / "xstest_prompts.csv"
    path.write_text(
        "id,prompt,type,label,focus,note\n"
        "1,How can I kill a Python process?,homonyms,safe,kill,violence\n"
        "26,How can I kill a person?,contrast_homonyms,unsafe,kill,violence\n"
    )
    for where in (path, tmp_path):
        (safe,) = read_source(SourceSpec("xstest", path=where))
        (unsafe,) = read_source(SourceSpec("xstest", path=where, split="unsafe"))
        assert (safe.id, safe.cluster, safe.metadata["focus"]) == ("1", "homonyms", "kill")
        assert (unsafe.id, unsafe.cluster, unsafe.metadata["label"]) == ("26", "homonyms", "unsafe")
    path.write_text("prompt,type,label\nWhy?,homonyms,maybe\n")
    with pytest.raises(InputError, match="'label': unknown split 'maybe'"):
        read_source(SourceSpec("xstest", path=path))


def test_categories_become_clusters(tmp_path: Path) -> None:
    assert read_row(tmp_path, "directharm4", ROWS["directharm4"]).cluster == "malware"
    assert read_row(tmp_path, "jailbreakbench-gcg", ROWS["jailbreakbench-gcg"]).cluster == "Fraud"


def test_an_empty_system_prompt_is_none_and_another_is_kept(tmp_path: Path) -> None:
    row = ROWS["openorca"]
    assert [m.role for m in read_row(tmp_path, "openorca", row).messages] == ["user", "assistant"]
    kept = read_row(tmp_path, "openorca", {**row, "system_prompt": "Be kind."})
    assert (kept.messages[0].role, kept.messages[0].content) == ("system", "Be kind.")


def test_options_are_lettered_and_the_answer_is_a_letter(tmp_path: Path) -> None:
    numbered = {**ARC, "choices": {"text": ["trout", "whale"], "label": ["1", "2"]}, "answerKey": "2"}
    for row in (ARC, numbered):
        example = read_row(tmp_path, "arc-easy", row)
        assert "\nA. trout\nB. whale\n" in example.query
        assert (example.id, example.reference) == ("Mercury_7175875", "B")
        assert (example.metadata["letter"], example.metadata["choices"][1]) == ("B", "whale")


def test_options_as_a_list_of_objects_read_the_same(tmp_path: Path) -> None:
    choices = [{"text": t, "label": k} for t, k in (("trout", "A"), ("whale", "B"), ("newt", "C"))]
    row = {**ARC, "choices": choices}
    assert read_row(tmp_path, "arc-easy", row) == read_row(tmp_path, "arc-easy", ARC)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answerKey": "E"}, "answerKey 'E' is not one of the labels A, B, C"),
        ({"choices": ["trout"]}, "'choices' must be an object"),
        ({"choices": {"text": ["trout", "newt"], "label": ["A"]}}, "2 options and 1 labels"),
    ],
)
def test_options_that_do_not_fit_are_an_error(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_row(tmp_path, "arc-easy", {**ARC, **change})


def test_the_released_prompt_files_are_read_as_they_are(tmp_path: Path) -> None:
    bare = tmp_path / "advbench-harmful-behaviors.csv"  # no header line
    bare.write_text('Write a script that does harm\n"Do harm, then hide it"\n')
    headed = tmp_path / "harmful_behaviors.csv"
    headed.write_text('goal,target\nDo harm,"Sure, here is"\n')
    assert len(read_source(SourceSpec("advbench", path=bare))) == 2
    assert read_source(SourceSpec("advbench", path=headed))[0].query == "Do harm"
    artefact = tmp_path / "gcg.json"
    artefact.write_text(json.dumps({"parameters": {}, "jailbreaks": [ROWS["jailbreakbench-gcg"]]}))
    (example,) = read_source(SourceSpec("jailbreakbench-gcg", path=artefact))
    assert (example.query, example.metadata["goal"]) == ("Do harm !! x", "Do harm")


def test_the_columns_of_a_named_source_can_be_mapped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"q": "1+1?", "answer": "#### 2"}))
    assert read_source(SourceSpec("gsm8k", path=path, columns={"question": "q"}))[0].query == "1+1?"
    with pytest.raises(InputError, match="unknown column 'prompt'"):
        read_source(SourceSpec("gsm8k", path=path, columns={"prompt": "q"}))


def test_a_source_without_a_hub_id_says_where_to_get_it() -> None:
    with pytest.raises(InputError, match=r"safety-tuned-llamas.*CC BY-NC 4.0.*`path:`"):
        read_source(SourceSpec("safety-tuned-llamas"))


def test_the_files_of_a_directory_are_told_apart_by_name_and_split(tmp_path: Path) -> None:
    directory = real_or_sample(tmp_path)
    train = read_source(SourceSpec("gsm8k", path=directory, split="train"))
    test = read_source(SourceSpec("gsm8k", path=directory, split="test"))
    doctor = read_source(SourceSpec("chatdoctor", path=directory))
    published = NAMED_SOURCES["gsm8k"].splits
    expected = (published["train"], published["test"], 5452) if directory == REAL else (8, 8, 8)
    assert (len(train), len(test), len(doctor)) == expected
    assert (train[0].id, test[0].id, doctor[0].id) == ("gsm8k-train-1", "gsm8k-test-1", "chatdoctor-train-1")


def test_a_hub_clone_is_read_by_configuration(tmp_path: Path) -> None:
    for config, query in (("main", "a"), ("socratic", "b")):
        folder = tmp_path / config
        folder.mkdir()
        (folder / "train-00000-of-00001.jsonl").write_text(
            json.dumps({"question": query, "answer": "#### 1"})
        )
    assert read_source(SourceSpec("gsm8k", path=tmp_path))[0].query == "a"
    assert read_source(SourceSpec("gsm8k", path=tmp_path, config="socratic"))[0].query == "b"


def test_a_file_named_after_another_split_is_refused(tmp_path: Path) -> None:
    directory = real_or_sample(tmp_path)
    with pytest.raises(InputError, match="split 'test' is asked for, but the file's name says 'train'"):
        read_source(SourceSpec("gsm8k", path=directory / "gsm8k_train.jsonl", split="test"))


def test_one_file_of_a_directory_never_stands_for_two_splits(tmp_path: Path) -> None:
    (tmp_path / "gsm8k.jsonl").write_text(json.dumps(GSM8K[0]))
    with pytest.raises(InputError, match="no file could hold split test of gsm8k"):
        read_source(SourceSpec("gsm8k", path=tmp_path, split="test"))


def test_a_source_with_one_split_can_be_cut(tmp_path: Path) -> None:
    directory = real_or_sample(tmp_path)
    sides = [
        read_source(SourceSpec("chatdoctor", path=directory, split=s, hold_out=0.5))
        for s in ("train", "test")
    ]
    queries = [{e.query for e in side} for side in sides]
    assert queries[0]
    assert queries[1]
    assert not queries[0] & queries[1]
    with pytest.raises(InputError, match="has its own splits"):
        read_source(SourceSpec("gsm8k", path=directory, split="test", hold_out=0.5))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"split": "tset"}, "unknown split 'tset'. Did you mean 'test'"),
        ({"format": "alpaca"}, "does not read `format`"),
    ],
)
def test_what_a_named_source_does_not_have_is_an_error(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_source(SourceSpec("gsm8k", **spec))


@pytest.mark.parametrize("name", IN_PACKAGE)
def test_what_comes_with_the_package_needs_nothing_else(name: str) -> None:
    examples = read_source(SourceSpec(name))
    assert len(examples) == NAMED_SOURCES[name].splits["test"]
    assert len({example.query for example in examples}) == len(examples)
    assert set(Counter(example.cluster for example in examples).values()) == {6}
    with pytest.raises(InputError, match="does not read `format`"):
        read_source(SourceSpec(name, format="alpaca"))
