"""A Modelfile: the same conversation in Go's template language, and the stops, for Ollama.

Ollama writes BOS by itself, cannot refuse a request from within a template, and has no way to trim a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from puretune.deploy._serving import Serving
from puretune.templates import cut

_FROM = "# FROM takes a directory with safetensors, a GGUF file, or a model of Ollama's library."


def modelfile(serving: Serving, source: str, adapter: bool, stops: Sequence[str]) -> str:
    """The text of a Modelfile. ``source``: the base model, or with merged weights the directory itself."""
    lines = [_FROM, f"FROM {source}", *(["ADAPTER ."] if adapter else []), f'TEMPLATE """{_go(serving)}"""']
    lines += [f"PARAMETER stop {_text(stop)}" for stop in stops]
    return "\n".join(lines) + "\n"


def left_out(serving: Serving) -> list[str]:
    """What the Modelfile cannot do that the chat template does, in sentences."""
    said = []
    if serving.policy == "reject":
        said.append("Ollama's template cannot refuse a system message: the caller's is left out.")
    if any(any(trims) for trims in serving.frame.trims.values()):
        said.append("Ollama's template cannot trim white space around messages.")
    if serving.frame.blank:
        said.append("Ollama's template puts a blank before every answer, after white space too.")
    said.append("What spells a special token in a message is not kept as text by Ollama.")
    return said


def _go(serving: Serving) -> str:
    return "".join(_parts(serving))


def _parts(serving: Serving) -> Iterator[str]:
    template = serving.template
    yield '{{- $before := "start" }}'
    yield from _system(serving)
    before, after = template.user.split("%s", 1)
    after = _cut_end(serving, after)
    yield "{{- range .Messages }}"
    yield (
        '{{- if eq .Role "user" }}'
        + _joins(serving, "user")
        + _said(before)
        + "{{ .Content }}"
        + _said(after)
    )
    yield '{{- $before = "user" }}{{- else if eq .Role "assistant" }}' + _joins(serving, "assistant")
    yield '{{ .Content }}{{- $before = "assistant" }}{{- end }}{{- end }}'
    yield _joins(serving, "answer")


def _cut_end(serving: Serving, after: str) -> str:
    """The end of the user wrapper as the markup leaves it."""
    ends = {trims[1] for (_, kind), trims in serving.frame.trims.items() if kind == "user"}
    return cut(after, ("", ends.pop())) if len(ends) == 1 else after


def _system(serving: Serving) -> Iterator[str]:
    opening, own = serving.frame.joins.get(("start", "system")), serving.policy == "prepend"
    if opening is None:
        return
    opening = _without_bos(serving, opening)
    mark = '{{- $before = "system" }}'
    if serving.template.system:
        trims = serving.frame.trims["start", "system"]
        alone, more = cut(serving.template.system, trims), cut(serving.template.system, (trims[0], ""))
        said = _said(alone)
        if own:
            both = _said(more + "\n\n") + "{{ .System }}"
            said = "{{- if .System }}" + both + "{{- else }}" + said + "{{- end }}"
        yield _said(opening) + said + mark
    elif own:
        yield "{{- if .System }}" + _said(opening) + "{{ .System }}" + mark + "{{- end }}"


def _joins(serving: Serving, after: str) -> str:
    """What is written before a text, by what is before it."""
    prefixed = bool(serving.template.response_prefix)
    cases = [
        (step[0], _without_bos(serving, serving.frame.join(step, "a text", prefixed)))
        for step in serving.frame.joins
        if step[1] == after
    ]
    tests = [
        f'{{{{- {"else if" if number else "if"} eq $before "{before}" }}}}{_said(text)}'
        for number, (before, text) in enumerate(cases)
    ]
    return "".join([*tests, "{{- end }}"]) if tests else ""


def _without_bos(serving: Serving, text: str) -> str:
    """Ollama writes the first BOS itself; one before a later turn stays."""
    bos = str(serving.renderer.tokenizer.bos_token or "")
    starts = [text for step, text in serving.frame.joins.items() if step[0] == "start"]
    return text.removeprefix(bos) if text in starts else text


def _said(text: str) -> str:
    return f"{{{{ {_text(text)} }}}}" if text else ""


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
