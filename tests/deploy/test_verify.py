"""Whatever happened to an export is found, and has its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from puretune.deploy import ACCIDENTS, Verification, as_json, as_sarif, sentence, verify
from puretune.errors import CheckFailed, InputError, PuretuneError


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text("utf-8")), "utf-8")


def both(directory: Path, change: Callable[[str], str]) -> None:
    """Change the chat template in both of its places."""
    edit(directory / "chat_template.jinja", change)
    config = json.loads((directory / "tokenizer_config.json").read_text("utf-8"))
    config["chat_template"] = change(config["chat_template"])
    (directory / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")


def named(found: Verification, consumer: str = "") -> set[str]:
    return {one.accident for one in found.findings if one.consumer.startswith(consumer)}


def test_an_export_as_it_was_written_passes_everywhere(shipped: Path) -> None:
    found = verify(shipped)
    assert found.passed, [sentence(one) for one in found.findings]
    checked = {one.consumer: one for one in found.checked}
    for consumer in ("transformers", "minijinja, chat_template.jinja", "minijinja, tokenizer_config.json"):
        assert checked[consumer].right == checked[consumer].requests == 10
    assert any("tool turns" in note for note in found.notes)


def without_template(directory: Path) -> None:
    config = json.loads((directory / "tokenizer_config.json").read_text("utf-8"))
    del config["chat_template"]
    (directory / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")


def with_eos(directory: Path) -> None:
    config = json.loads((directory / "generation_config.json").read_text("utf-8"))
    (directory / "generation_config.json").write_text(json.dumps({**config, "eos_token_id": 7}), "utf-8")


def training_as_default(directory: Path) -> None:
    training = (directory / "additional_chat_templates" / "training.jinja").read_text("utf-8")
    both(directory, lambda _: training)


def base_template(directory: Path) -> None:
    base = json.loads((directory / "serving.json").read_text("utf-8"))["base"]["model"]
    own = (Path(base) / "chat_template.jinja").read_text("utf-8")
    both(directory, lambda _: own)


PLAIN = "{% for m in messages %}{{ '<s>[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}"
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "the template is removed from tokenizer_config.json": (without_template, "lost-template"),
    "chat_template.jinja is removed": (lambda d: (d / "chat_template.jinja").unlink(), "lost-template"),
    "one place has another template": (
        lambda d: edit(d / "chat_template.jinja", lambda s: s.replace("Question: ", "Q: ")),
        "places-differ",
    ),
    "the words around the user's message": (
        lambda d: both(d, lambda s: s.replace("Question: ", "")),
        "lost-wrapper",
    ),
    "another system prompt": (
        lambda d: both(d, lambda s: s.replace("You are a helpful, respectful", "You are a rude")),
        "other-system",
    ),
    "no system prompt": (
        lambda d: both(d, lambda s: s.replace(system_of(d), "")),
        "lost-system",
    ),
    "BOS is stripped": (lambda d: both(d, lambda s: s.replace('"<s>[INST]', '"[INST]')), "no-bos"),
    "BOS is doubled": (lambda d: both(d, lambda s: s.replace('"<s>[INST]', '"<s><s>[INST]')), "two-bos"),
    "the caller's system message is dropped": (
        lambda d: both(
            d, lambda s: s.replace("ns.system + ('\\n\\n' if ns.system else '') + text", "ns.system")
        ),
        "caller-system-lost",
    ),
    "special tokens are let through": (
        lambda d: both(d, lambda s: s.replace('["<unk>", "</s>", "<s>"]', "[]")),
        "special-token",
    ),
    "the template of the training": (training_as_default, "served-as-trained"),
    "the base model's own template": (base_template, "base-template"),
    "tool turns are swallowed": (lambda d: both(d, lambda _: PLAIN), "accepted"),
    "a message in parts is refused": (lambda d: both(d, lambda _: PLAIN), "refused"),
    "the answer's start is lost": (
        lambda d: both(d, lambda s: s.replace('"user answer": " [/INST]"', '"user answer": ""')),
        "no-answer-start",
    ),
    "a thinking block": (
        lambda d: both(
            d, lambda s: s.replace('"user answer": " [/INST]"', '"user answer": " [/INST]<think>"')
        ),
        "thoughts",
    ),
    "a stop is removed": (with_eos, "stop-not-set"),
    "the Modelfile loses its template": (
        lambda d: edit(d / "Modelfile", lambda s: s.replace('TEMPLATE """', "")),
        "modelfile",
    ),
    "a weight file": (lambda d: (d / "adapter_model.safetensors").write_bytes(b"0"), "changed-file"),
}


def system_of(directory: Path) -> str:
    facts = json.loads((directory / "serving.json").read_text("utf-8"))
    return str(facts["messages"][0]["content"])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_export_is_found_and_named(copy: Path, damage: str) -> None:
    change, accident = DAMAGES[damage]
    change(copy)
    found = verify(copy)
    assert accident in named(found), [sentence(one) for one in found.findings]
    assert not found.passed


def test_a_place_that_one_kind_of_server_reads_is_told_apart(copy: Path) -> None:
    config = json.loads((copy / "tokenizer_config.json").read_text("utf-8"))
    config["chat_template"] = config["chat_template"].replace("You are a helpful", "You are a rude")
    (copy / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    found = verify(copy)
    assert "other-system" in named(found, "minijinja, tokenizer_config.json")
    assert not named(found, "minijinja, chat_template.jinja")
    assert not named(found, "transformers")
    told = next(one for one in found.findings if one.accident == "other-system")
    assert "rude" in told.said


def test_every_finding_says_what_is_lost_and_how_to_stop_it(copy: Path) -> None:
    both(copy, lambda s: s.replace("You are a helpful, respectful", "You are a rude"))
    one = next(one for one in verify(copy).findings if one.accident == "other-system")
    assert {"no system message", "several turns", "white space"} <= set(one.probes)
    assert "You are a rude" in sentence(one)
    assert ACCIDENTS["other-system"].cure in sentence(one)


def test_json_and_sarif_have_every_finding(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    found = verify(copy)
    content: dict[str, Any] = json.loads(as_json(found))
    assert content["passed"] is False
    assert [one["accident"] for one in content["findings"]] == [one.accident for one in found.findings]
    sarif = json.loads(as_sarif(found))
    assert sarif["version"] == "2.1.0"
    results = sarif["runs"][0]["results"]
    assert [one["ruleId"] for one in results] == [one.accident for one in found.findings]
    rules = {rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]}
    assert {one["ruleId"] for one in results} == rules
    assert results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "chat_template.jinja"


@pytest.mark.parametrize("file", ["serving.json", "probes.json", "tokenizer.json"])
def test_a_file_that_cannot_be_read_is_an_error(copy: Path, file: str) -> None:
    (copy / file).write_text("{")
    with pytest.raises(PuretuneError, match=rf"(?s){file}.*(Export again|Copy)"):
        verify(copy)


def test_a_template_that_would_run_for_hours_is_stopped(copy: Path) -> None:
    loops = "".join(f"{{% for a{n} in range(9999) %}}" for n in range(4)) + "{% endfor %}" * 4
    both(copy, lambda _: loops)
    with pytest.raises(CheckFailed, match="is stopped: it takes more than"):
        verify(copy)


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an export"):
        verify(tmp_path)
