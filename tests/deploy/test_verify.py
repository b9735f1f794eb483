"""Whatever happened to an export is found, and has its name."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from puretune.deploy import (
    ACCIDENTS,
    Verification,
    as_json,
    as_sarif,
    export,
    measured,
    sentence,
    verify,
)
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


def told(directory: Path, training: dict[str, Any]) -> None:
    """What the export noted of the training."""
    facts = json.loads((directory / "serving.json").read_text("utf-8"))
    (directory / "serving.json").write_text(json.dumps({**facts, "training": training}), "utf-8")


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
    "other markup": (
        lambda d: both(d, lambda s: s.replace('"user answer": " [/INST]"', '"user answer": " [/INST]\\n"')),
        "other-tokens",
    ),
    "no token was trained": (lambda d: told(d, {"trained_tokens": 0}), "nothing-trained"),
    "no stop was trained": (lambda d: told(d, {"ends_with_stop": False}), "stop-not-trained"),
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


def test_a_system_prompt_that_nobody_asked_for_is_named(run: Path, tmp_path: Path) -> None:
    made = export(measured(run, "CV", "CV"), tmp_path / "ship").path
    asked, put = '"start user": "<s>[INST] "', '"start user": "<s>[INST] <<SYS>>\\nBe Qwen.\\n<</SYS>>\\n\\n"'
    both(made, lambda s: s.replace(asked, put))
    found = verify(made)
    assert "default-system" in named(found)
    assert any("Be Qwen" in one.said for one in found.findings)


def test_every_accident_is_shown_here() -> None:
    shown = {accident for _, accident in DAMAGES.values()} | {"default-system"}
    assert shown == set(ACCIDENTS)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(["serving.json", "probes.json", "tokenizer_config.json", "generation_config.json"]),
    place=st.integers(0, 10**6),
    junk=st.sampled_from([None, True, -1, 1e308, 10**30, "", "\x1b[31m", [], {}, [None], [[1]]]),
)
def test_whatever_a_file_says_is_a_finding_or_an_error_that_is_told(
    shipped: Path, tmp_path: Path, file: str, place: int, junk: Any
) -> None:
    copy = tmp_path / "junk"
    shutil.copytree(shipped, copy, dirs_exist_ok=True)
    content = json.loads((shipped / file).read_text("utf-8"))
    places = list(holders(content))
    holder, key = places[place % len(places)]
    holder[key] = junk
    (copy / file).write_text(json.dumps(content), "utf-8")
    try:
        found = verify(copy)
    except PuretuneError:
        return
    assert json.loads(as_json(found))["passed"] == found.passed
    assert json.loads(as_sarif(found))["version"] == "2.1.0"


def holders(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value: what holds it, and its key there."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from holders(value[key])


def test_llama_cpp_python_is_asked_where_it_is_installed(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Formatter:
        """As the package's own, with its environment."""

        def __init__(self, template: str, eos_token: str, bos_token: str) -> None:
            environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
            self.template = environment.from_string(template)
            self.known = {"eos_token": eos_token, "bos_token": bos_token}

        def __call__(self, *, messages: Any, tools: Any = None) -> Any:
            said = {**self.known, "tools": tools, "add_generation_prompt": True}
            return SimpleNamespace(prompt=self.template.render(messages=messages, **said))

    module = ModuleType("llama_cpp")
    module.__spec__ = ModuleSpec("llama_cpp", None)
    chat = ModuleType("llama_cpp.llama_chat_format")
    chat.Jinja2ChatFormatter = Formatter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llama_cpp", module)
    monkeypatch.setitem(sys.modules, "llama_cpp.llama_chat_format", chat)
    found = verify(shipped)
    checked = [one for one in found.checked if one.consumer.startswith("llama-cpp")]
    assert [one.right for one in checked] == [10, 10], found.findings


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
