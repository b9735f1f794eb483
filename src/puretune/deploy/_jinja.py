"""A chat template in Jinja that gives the tokens of puretune's own rendering.

It uses only what jinja2, minijinja and llama.cpp have in common, takes no arguments of the caller, and
refuses with ``raise_exception`` what was not measured: tool turns, images, turns that a markup does not take.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from puretune.deploy._serving import Serving
from puretune.templates import Step, Trims

_SYSTEM = {
    "prepend": "{%- set ns.system = ns.system + ('\\n\\n' if ns.system else '') + text -%}",
    "replace": "{#- the caller's system message is left out -#}",
    "reject": "{{- raise_exception('this model has a system prompt of its own: send no system message') -}}",
}
_SAID = """\
{%- macro said(content) -%}
  {%- if content is string -%}
    {{- content -}}
  {%- elif content -%}
    {%- for part in content -%}
      {%- if part['type'] not in ['text', 'input_text', 'output_text'] -%}
        {{- raise_exception('only text is served, and a message has another part') -}}
      {%- endif -%}
      {{- part['text'] -}}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
"""
_PLAIN = """\
{#- what spells a special token stays text -#}
{%%- macro plain(text) -%%}
  {%%- set held = namespace(text=text) -%%}
  {%%- for token in %s -%%}
    {%%- set held.text = held.text | replace(token, token[:1] + %s + token[1:]) -%%}
  {%%- endfor -%%}
  {{- held.text -}}
{%%- endmacro -%%}
"""
_READ = """\
{%%- for message in messages -%%}
  {%%- set text = said(message['content']) -%%}
  {%%- if message['role'] in ['system', 'developer'] -%%}
    {%%- if text | trim -%%}
      %(system)s
    {%%- endif -%%}
  {%%- elif message['role'] in ['user', 'assistant'] and not message['tool_calls'] -%%}
%(thoughts)s    {%%- set ns.turns = ns.turns + [{'role': message['role'], 'text': text}] -%%}
  {%%- else -%%}
    {{- raise_exception('tool turns were not measured, and are refused') -}}
  {%%- endif -%%}
{%%- endfor -%%}
"""
_THOUGHTS = """\
    {%%- if message['role'] == 'assistant' and %(closes)s in text -%%}
      {%%- if %(opens)s not in text.split(%(closes)s)[0] or (text | trim).startswith(%(opens)s) -%%}
        {%%- set text = text.split(%(closes)s, 1)[1].lstrip('\\n') -%%}
      {%%- endif -%%}
    {%%- endif -%%}
"""
_TURNS = """\
{%%- for turn in ns.turns -%%}
  {%%- set ends = loop.last and turn['role'] == 'assistant' and not add_generation_prompt -%%}
  {%%- set kind = 'last' if ends else turn['role'] -%%}
  {%%- set step = ns.before + ' ' + kind -%%}
  {%%- if step not in joins -%%}
    {{- raise_exception('this model does not take these turns: ' + step) -}}
  {%%- endif -%%}
%(blank)s  {%%- set ns.text = plain(%(wrapped)s if kind == 'user' else turn['text']) -%%}
%(trims)s  {%%- set ns.out = ns.out + joins[step] + ns.text -%%}
  {%%- set ns.before = kind -%%}
{%%- endfor -%%}
{%%- set step = ns.before + (' answer' if add_generation_prompt else ' end') -%%}
{%%- if step not in joins -%%}
  {{- raise_exception('the last message must be of the user') -}}
{%%- endif -%%}
%(blank_answer)s{%%- set ns.out = ns.out + joins[step] -%%}
{{- %(opening)sns.out -}}
"""


def chat_template(serving: Serving) -> str:
    """The source of the chat template."""
    return "".join(_parts(serving)).removesuffix("\n")


def _parts(serving: Serving) -> Iterator[str]:
    frame, template = serving.frame, serving.template
    yield f"{{#- {_comment(template.name)}, by puretune; the caller's system message: {serving.policy} -#}}\n"
    yield "{%- if tools -%}{{- raise_exception('tools were not measured, and are refused') -}}{%- endif -%}\n"
    system = _text(template.system or "")
    yield f"{{%- set ns = namespace(system={system}, turns=[], before='start', text='', out='') -%}}\n"
    joins = {" ".join(step): text for step, text in frame.joins.items()}
    yield f"{{%- set joins = {json.dumps(joins, ensure_ascii=False)} -%}}\n"
    yield _SAID
    yield _PLAIN % (json.dumps(serving.specials, ensure_ascii=False), json.dumps(serving.break_character))
    yield _READ % {"system": _SYSTEM[serving.policy], "thoughts": _thoughts(serving)}
    yield "{%- if ns.system -%}\n"
    yield "  {%- set ns.turns = [{'role': 'system', 'text': ns.system}] + ns.turns -%}\n{%- endif -%}\n"
    before, after = (_text(text) if text else "" for text in template.user.split("%s", 1))
    prefixed = frame.blank and template.response_prefix
    yield _TURNS % {
        "wrapped": " + ".join(filter(None, (before, "turn['text']", after))),
        "trims": _trims(frame.trims),
        "opening": _opening(serving),
        "blank": _blank("  ", "kind in ['assistant', 'last'] and ") if frame.blank else "",
        "blank_answer": _blank("", "add_generation_prompt and ") if prefixed else "",
    }


def _opening(serving: Serving) -> str:
    """BOS before all; a blank after it only where the prompt does not begin with one."""
    if not serving.bos.endswith(" "):
        return f"{_text(serving.bos)} + " if serving.bos else ""
    blank = r"('' if ns.out[:1] in ['', ' ', '\u2581'] else ' ')"
    return f"{_text(serving.bos[:-1])} + {blank} + "


def _trims(trims: Mapping[Step, Trims]) -> str:
    """What the markup takes off the ends of texts, where it does that."""
    lines: list[str] = []
    for kind in dict.fromkeys(taken for taken in trims.values() if any(taken)):
        steps = [" ".join(step) for step, taken in trims.items() if taken == kind]
        word = "elif" if lines else "if"
        lines.append(
            f"  {{%- {word} step in {json.dumps(steps)} -%}}"
            f"{{%- set ns.text = {_trimmed('ns.text', kind)} -%}}\n"
        )
    return "".join([*lines, "  {%- endif -%}\n"]) if lines else ""


def _trimmed(name: str, trims: Trims) -> str:
    """A text without what the markup takes off its ends, as an expression."""
    if trims == ("space", "space"):
        return f"({name} | trim)"
    start, end = trims
    if start:
        name = f"(({name} + '.') | trim)[:-1]" if start == "space" else f"{name}.lstrip('\\n')"
    if end:
        name = f"(('.' + {name}) | trim)[1:]" if end == "space" else f"({name}).rstrip('\\n')"
    return name


def _thoughts(serving: Serving) -> str:
    marks = ({"opens": _text(a), "closes": _text(b)} for a, b in serving.thinking)
    return "".join(_THOUGHTS % pair for pair in marks)


def _blank(indent: str, test: str) -> str:
    written = "{%- set ns.out = ns.out + ' ' -%}"
    return f"{indent}{{%- if {test}ns.text and ns.text[-1:] | trim -%}}{written}{{%- endif -%}}\n"


def _text(text: str) -> str:
    """A text as a literal that jinja2 and minijinja read alike."""
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    return re.sub(r"[^\w:. -]", "_", text)
