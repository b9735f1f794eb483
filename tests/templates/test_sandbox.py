# ruff: noqa: E501
"""A model's chat template runs within a budget, and within it makes the text that transformers makes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from puretune.templates._budget import Exceeded
from puretune.templates._sandbox import run_chat_template
from tests import families
from tests.small_tokenizers import CHATML, LLAMA2, byte_level

MESSAGES = [
    {"role": "system", "content": "Safe."},
    {"role": "user", "content": " How many? "},
    {"role": "assistant", "content": "Two.\n"},
    {"role": "user", "content": "Größe\n5"},
]
GIVEN = {"messages": MESSAGES, "tools": None, "documents": None, "add_generation_prompt": True}
BOMBS = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a repeated string": "{{ 'a' * 99999999999 }}",
    "a repeated string, turned round": "{{ 99999999999 * 'a' }}",
    "a repeated list": "{{ [0] * 99999999999 }}",
    "a power": "{{ 2 ** 9999999999 }}",
    "a product of products": "{% set n = namespace(x=2) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "doubling": "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling by ~": "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling by join": "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = [n.x, n.x] | join %}{% endfor %}",
    "doubling by a block": "{% set x = 'ab' %}{% for i in range(99) %}{% set x %}{{ x }}{{ x }}{% endset %}{% endfor %}"
    "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set y %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = y %}{% endfor %}",
    "a shared list in a list": "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}",
    "equal shared lists": "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}"
    "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
    "a width": "{{ 'a' | center(99999999999) }}",
    "a width of a method": "{{ 'a'.ljust(99999999999) }}",
    "zeros": "{{ '1'.zfill(99999999999) }}",
    "tabs": "{{ ('\t' * 999999).expandtabs(9999999) }}",
    "an indent": "{{ 'a\n\nb' | indent(99999999999) }}",
    "an indent of JSON": "{{ [[1]] | tojson(indent=99999999999) }}",
    "a format": "{{ '{:99999999999}'.format(1) }}",
    "a format of a format": "{{ '{:{}}'.format(1, 99999999999) }}",
    "a % format": "{{ '%99999999999d' % 1 }}",
    "a % format with a star": "{{ '%*d' % (99999999999, 1) }}",
    "a format filter": "{{ '%99999999999d' | format(1) }}",
    "replacement": "{{ ('a' * 99999).replace('a', 'b' * 99999) }}",
    "replacement by a filter": "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}",
    "replacement of nothing": "{{ ('a' * 99999).replace('', 'b' * 99999) }}",
    "translation": "{{ ('a' * 99999).translate({97: 'b' * 99999}) }}",
    "glue": "{{ ('a' * 99999).join(range(99999) | map('string') | list) }}",
    "glue of a filter": "{{ range(99999) | join('a' * 99999) }}",
    "bytes": "{{ (1).to_bytes(99999999999, 'big') }}",
    "rounding": "{{ 1.5 | round(999999999, 'ceil') }}",
    "a sum of lists": "{{ [[1], [2]] | sum(start=[]) }}",
    "output": "{% set x = 'a' * 99999 %}{% for i in range(99999) %}{{ x }}{% endfor %}",
    "written text": "{% for i in range(99999) %}" + "a" * 5000 + "{% endfor %}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(90) }}",
    "a recursive loop": "{% for a in [1, 2] recursive %}{% if loop.depth < 90 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
    "slices": "{% set x = 'a' * 999999 %}{% for a in range(99999) %}{% set y = x[1:] %}{% endfor %}",
    "pairs": "{{ range(99999) | slice(99999999) | list }}",
    "mapped widths": "{{ range(99999) | map('string') | map('center', 9999) | list }}",
    "a long source": "a" * 300_000,
}


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS.keys())
def test_what_would_not_end_or_not_fit_is_stopped(source: str) -> None:
    with pytest.raises(Exceeded):
        run_chat_template(source, GIVEN)


def test_it_is_stopped_in_any_thread() -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            run_chat_template(BOMBS["nested loops"], GIVEN)
        except Exceeded as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "steps" in str(caught[0])


def test_endless_recursion_is_an_error() -> None:
    with pytest.raises(RecursionError):
        run_chat_template("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", GIVEN)


# what chat templates in use do, and what could come out differently in a sandbox of one's own
USED = [
    CHATML,
    "{%- for m in messages[::-1] -%}{{ loop.index0 }}{{ loop.length }}{{ loop.last }}{{ m.content|trim }}{%- endfor -%}",
    "{% for m in messages if m.role == 'user' %}{{ loop.first }}{{ m['content'][:3] ~ '!' }}{% else %}none{% endfor %}",
    "{% if messages | selectattr('role', 'equalto', 'tool') %}always{% endif %}{{ messages|map(attribute='role')|join(', ') }}",
    "{{ messages | selectattr('role', 'equalto', 'tool') | list | length }}{{ messages|length }}{{ messages[-1].content }}",
    "{% for m in messages | reverse %}{{ loop.revindex }}{{ loop.nextitem is defined }}{{ m.role.upper() }}{% endfor %}",
    "{{ messages | tojson }}{{ messages[0] | tojson(indent=4) }}{{ {'a': [1, none, true]} | tojson(ensure_ascii=True) }}",
    "{% set ns = namespace(n=0, seen=[]) %}{% for m in messages %}{% set ns.n = ns.n + m.content|length %}"
    "{% set ns.seen = ns.seen + [m.role] %}{% if loop.index == 2 %}{% continue %}{% endif %}{{ ns.n }}{% endfor %}{{ ns.seen }}",
    "{% macro turn(role, text='x') %}<{{ role }}>{{ text }}{{ caller() if caller else '' }}{% endmacro %}"
    "{{ turn('a') }}{% call turn('b', text='y') %}inside{% endcall %}",
    "{% generation %}{{ messages[0].content }}{% endgeneration %}\n{%- set x %}block {{ messages|length }}{% endset %}{{ x }}",
    "{{ '%s and %d' % ('a', 3) }}{{ '{} {x}'.format(1, x=2) }}{{ '%s' | format('a') }}{{ 'a-b'.split('-')[-1].lstrip('b') }}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% endfor %}{{ 7 // 2 }}{{ 2 ** 3 }}",
    "{% for k, v in messages[0] | dictsort %}{{ k }}{{ v }}{% break %}{% endfor %}{{ [3, 1, 2] | sort | list }}{{ (1, 2) + (3,) }}",
    "{{ undefined_thing }}{{ undefined_thing is defined }}{{ tools is none }}{{ bos_token | default('no') }}{{ 'ab' * 3 }}",
    "{% for a in [1, [2, 3]] recursive %}{% if a is iterable %}{{ loop(a) }}{% else %}{{ a }};{% endif %}{% endfor %}",
    "{{ ['a', 'b'] | join }}{{ 'a\n b' | indent(2) }}{{ 'abc' | replace('b', 'x') }}{{ 'a b' | title }}{{ '<a>' | e }}",
    "{{ range(3) | list }}{% for i in range(0, 4, 2) %}{{ i }}{{ cycler('a', 'b').next() }}{% endfor %}{{ 'a' in 'abc' }}",
    "{{ dict(a=1) }}{{ dict(a=1).get('b', 'c') }}{{ messages | groupby('role') | length }}{{ messages[1:3] | first }}",
    "{{ 'x' | center(9) }}{{ 1.25 | round(1) }}{{ '5' | int + 1 }}{{ [1, 2] | sum }}{{ [[1, 2], [3]] | map('first') | list }}",
]


@pytest.mark.parametrize("source", [*USED, LLAMA2], ids=lambda source: source[:40])
def test_the_text_is_transformers_own(source: str) -> None:
    tokenizer = byte_level(source)
    variables: dict[str, Any] = {**tokenizer.special_tokens_map, "bos_token": "<s>", **GIVEN}
    chat = MESSAGES if source != LLAMA2 else MESSAGES[1:]
    expected = tokenizer.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True, bos_token="<s>"
    )
    assert run_chat_template(source, {**variables, "messages": chat}) == expected


@pytest.mark.parametrize(
    "style", ["chatml", "gemma", "llama-2", "llama-3.1", "mistral", "phi-3", "qwen2.5", "qwen3"]
)
def test_the_families_texts_are_transformers_own(style: str) -> None:
    tokenizer = byte_level(families.chat_template(style))
    chat = MESSAGES[1:]
    given = {"bos_token": "<s>", "eos_token": "</s>"}
    expected = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **given)
    assert run_chat_template(tokenizer.chat_template, {**GIVEN, **given, "messages": chat}) == expected


def test_long_conversations_are_no_bombs() -> None:
    chat = [{"role": ("user", "assistant")[i % 2], "content": "word " * 4000} for i in range(100)]
    text = run_chat_template(families.chat_template("qwen3"), {**GIVEN, "messages": chat})
    assert len(text) > 1_900_000


@pytest.mark.parametrize(
    "source", ["{{ messages.append(1) }}", "{{ ''.__class__.__mro__ }}", "{{ messages | random }}"]
)
def test_it_is_a_sandbox_still(source: str) -> None:
    with pytest.raises(Exception, match=r"unsafe|not safely callable|No filter named 'random'"):
        run_chat_template(source, GIVEN)
