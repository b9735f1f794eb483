"""Texts that carry turn markup already are named by their marks and refused, unless they are meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from puretune.data import NAMED_SOURCES, SourceSpec, check_source, marks_in, question, read_source
from puretune.errors import InputError

from .samples import REAL, real_or_sample

MARKED = {
    "[INST] Name a fern. [/INST]": {"[INST]", "[/INST]"},
    "<<SYS>>\nBe kind.\n<</SYS>>\n\nHi": {"<<SYS>>", "<</SYS>>"},
    "<|im_start|>user\nHi<|im_end|>": {"<|im_start|>", "<|im_end|>"},
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>": {
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    },
    "<start_of_turn>user\nHi<end_of_turn>": {"<start_of_turn>", "<end_of_turn>"},
    "<|user|>\nHi": {"<|user|>"},
    "<｜User｜>Hi": {"<｜User｜>"},
    "### Instruction:\nName a fern.\n\n### Response:": {"### Instruction:", "### Response:"},
    "\n\nHuman: Name a fern.\n\nAssistant:": {"Human:", "Assistant:"},
    "Bracken.</s>": {"</s>"},
}
PLAIN = [
    "How is a list written in Python? [1, 2]",
    "The user: who is that? The human condition.",
    "a < b | c > d, <s>struck</s> out, <b>bold</b>",
    "### A heading\nand text",
    "Q: 1+1?\nA: 2",
]


@pytest.mark.parametrize("text", MARKED)
def test_markup_is_found_by_its_marks(text: str) -> None:
    assert {mark.text for mark in marks_in([question("1", text)])} == MARKED[text]


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_text_has_none(text: str) -> None:
    assert marks_in([question("1", text, "Yes.")]) == ()


def test_marks_are_counted_by_example_with_the_first(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"prompt": "Hi", "completion": "Ho"}, *[{"prompt": f"[INST] {n} [/INST]"} for n in range(3)]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = check_source(SourceSpec(str(path)))
    found = next(check for check in report.checks if check.name == "markup")
    assert (found.state, "[INST] (3, first in mine-2)" in found.found) == ("note", True)
    with pytest.raises(InputError, match=r"already contain turn markup: \[/INST\] \(3, .*`markup: keep`"):
        read_source(SourceSpec(str(path)))
    assert len(read_source(SourceSpec(str(path), markup="keep"))) == 4


def test_a_models_own_special_tokens_are_looked_for(tmp_path: Path) -> None:
    added = [{"content": "<turn>", "special": True}, {"content": "the", "special": True}, {"content": 3}]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    (tmp_path / "mine.jsonl").write_text(json.dumps({"prompt": "<turn>the fern"}) + "\n")
    spec = SourceSpec(str(tmp_path / "mine.jsonl"))
    assert read_source(spec)
    with pytest.raises(InputError, match=r"already contain turn markup: <turn> \(1"):
        read_source(spec, tmp_path / "model")


def test_the_real_files_have_none(tmp_path: Path) -> None:
    directory = real_or_sample(tmp_path)
    for name, split in (("gsm8k", "train"), ("gsm8k", "test"), ("chatdoctor", "train")):
        examples = read_source(SourceSpec(name, path=directory, split=split))
        assert directory != REAL or name != "gsm8k" or len(examples) == NAMED_SOURCES[name].splits[split]
