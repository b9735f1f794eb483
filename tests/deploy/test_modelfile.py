"""The Modelfile's template in Go's own engine, where that is installed (``pip install py-go-template``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from puretune.deploy import Policy, Serving
from puretune.deploy._ollama import left_out, modelfile
from puretune.deploy._serving import messages_of
from puretune.errors import InputError
from tests.deploy.requests import REQUESTS, Request
from tests.deploy.test_chat_template import MARKUPS, TEMPLATES, serving
from tests.templates.test_families import takes


def test_it_has_the_base_the_template_and_every_stop() -> None:
    text = modelfile(serving("llama-3", "llama-3", "chat:llama", "prepend"), "base", True, ["<|eot_id|>"])
    assert text.splitlines()[1:3] == ["FROM base", "ADAPTER ."]
    assert text.endswith('PARAMETER stop "<|eot_id|>"\n')
    assert "<|begin_of_text|>" not in text, "Ollama writes BOS itself"
    assert "harmful, unethical" in text


def test_what_it_cannot_do_is_said() -> None:
    said = " ".join(left_out(serving("gemma", "auto", "chat:vanilla", "reject")))
    assert "cannot refuse" in said
    assert "trim" in said


def test_go_writes_the_conversation_of_the_chat_template(tmp_path: Path) -> None:
    go = pytest.importorskip("go_template")
    policies: tuple[Policy, ...] = ("prepend", "replace")
    for (family, markup), template, policy in product(MARKUPS, TEMPLATES, policies):
        if not takes(family, markup, TEMPLATES[template]):
            continue
        made = serving(family, markup, template, policy)
        text = modelfile(made, "base", True, [])
        (tmp_path / "t").write_text(text.split('TEMPLATE """')[1].split('"""')[0])
        for request, expected in _conversations(made):
            shown = go.render(tmp_path / "t", _as_ollama(request)).decode()
            bos = str(made.renderer.tokenizer.bos_token or "")
            assert shown == expected.removeprefix(bos), (family, markup, template, policy)


def _conversations(made: Serving) -> Iterator[tuple[Request, str]]:
    for name in ("plain", "system", "developer", "jinja", "two questions"):
        request = [{**turn, "content": turn["content"].strip()} for turn in REQUESTS[name]]
        with suppress(InputError):
            made.rendered(request)
            yield request, made.spelled(messages_of(request))


def _as_ollama(request: Request) -> dict[str, Any]:
    system = [turn["content"] for turn in request if turn["role"] in ("system", "developer")]
    turns = [{"Role": turn["role"], "Content": turn["content"]} for turn in request]
    return {"System": "\n\n".join(system), "Messages": turns}
