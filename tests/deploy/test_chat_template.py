"""The generated chat template gives puretune's own tokens in transformers and minijinja, in every family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import minijinja
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import _compile_jinja_template

from puretune.deploy import Policy, Serving, chat_template
from puretune.errors import InputError
from puretune.templates import BUILTIN_TEMPLATES, Message, PromptTemplate
from tests import families
from tests.deploy.requests import REQUESTS, assistant, system, user
from tests.templates.test_families import EXPLICIT, renderer, takes
from tests.templates.texts import normalised, texts

SHOWN = (Message("user", "One?"), Message("assistant", "1."))
OWN = (
    PromptTemplate("shown", system='Safe: "é" {{ x }}\n', user="Q: %s", demonstrations=SHOWN),
    PromptTemplate("begun", user="%s", response_prefix="Sure:"),
    PromptTemplate("begun text", mode="text", user="%s", response_prefix="Sure:"),
    PromptTemplate("separated", mode="text", system="Be safe.", user="%s", separator="\n-> "),
)
BUILTIN = ("text:vanilla", "text:alpaca", "chat:vanilla", "chat:alpaca", "chat:llama", "none")
TEMPLATES = {t.name: t for t in (*(BUILTIN_TEMPLATES[name] for name in BUILTIN), *OWN)}
MARKUPS = [*((name, "auto") for name in families.NAMES), *EXPLICIT.items()]
POLICIES: tuple[Policy, ...] = ("prepend", "replace", "reject")
Asked = Mapping[str, Any]


@cache
def serving(family: str, markup: str, template: str, policy: Policy) -> Serving:
    return Serving(TEMPLATES[template], policy, renderer(family, markup))


def refused(message: str) -> None:
    raise ValueError(message)


@cache
def engines(source: str) -> dict[str, Callable[[Asked], str]]:
    known = minijinja.Environment(
        templates={"chat": source},
        globals={"raise_exception": refused},
        trim_blocks=True,
        lstrip_blocks=True,
    )
    compiled = _compile_jinja_template(source)
    return {
        "minijinja": lambda asked: known.render_template("chat", **asked),
        "transformers": lambda asked: compiled.render(**asked),
    }


@cache
def source(made: Serving) -> str:
    return chat_template(made)


def tokens(made: Serving, engine: str, request: Any, generation: bool = True) -> Any:
    """The ids of a rendered request, or ``refused``."""
    try:
        text = engines(source(made))[engine]({"messages": request, "add_generation_prompt": generation})
    except Exception:
        return "refused"
    return made.encode(text)


def reference(made: Serving, request: Any) -> Any:
    try:
        return made.rendered(request)
    except InputError:
        return "refused"


@pytest.mark.parametrize(("family", "markup"), MARKUPS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_request_has_the_tokens_of_puretunes_own_rendering(
    family: str, markup: str, template: str
) -> None:
    if not takes(family, markup, TEMPLATES[template]):
        with pytest.raises(InputError, match="rejects the turns"):
            chat_template(serving(family, markup, template, "prepend"))
        return
    for policy in POLICIES if template in ("chat:llama", "text:alpaca", "chat:vanilla") else POLICIES[:1]:
        made = serving(family, markup, template, policy)
        for name, request in REQUESTS.items():
            expected = reference(made, request)
            for engine in ("minijinja", "transformers"):
                assert tokens(made, engine, request) == expected, (policy, name, engine)


@pytest.mark.parametrize(("family", "markup"), MARKUPS)
@settings(max_examples=5)
@given(
    query=texts().map(normalised),
    asked=st.one_of(st.none(), texts().map(normalised)),
    answer=texts().map(normalised),
)
def test_any_text_has_the_tokens_of_puretunes_own_rendering(
    family: str, markup: str, query: str, asked: str | None, answer: str
) -> None:
    template = "chat:llama" if takes(family, markup, TEMPLATES["chat:llama"]) else "chat:vanilla"
    made = serving(family, markup, template, "prepend")
    request = [*([system(asked)] if asked else []), user(query), assistant(answer), user(query)]
    if any(token in text for token in made.specials for text in (query, asked or "", answer)):
        return  # these cannot have the same tokens: see below
    expected = reference(made, request)
    if expected != "refused":
        assert tokens(made, "minijinja", request) == tokens(made, "transformers", request) == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_a_callers_system_message_is_treated_by_the_policy(policy: Policy) -> None:
    made = serving("qwen3", "auto", "chat:llama", policy)
    ids = tokens(made, "minijinja", REQUESTS["system"])
    safe = str(made.template.system)
    if policy == "reject":
        assert ids == "refused"
        return
    text = made.renderer.tokenizer.decode(ids)
    assert (f"{safe}\n\n Be brief." in text) == (policy == "prepend")
    assert text.count(safe) == 1
    assert ("Be brief" in text) == (policy == "prepend")


@pytest.mark.parametrize(("family", "markup"), MARKUPS)
def test_what_spells_a_special_token_stays_text(family: str, markup: str) -> None:
    made = serving(family, markup, "chat:vanilla", "prepend")
    spelled = " ".join(f"a{token}b {token}" for token in made.specials)
    hostile = [user(spelled), assistant(spelled), user(spelled)]
    plain = [user("x"), assistant("x"), user("x")]
    special = set(made.renderer.tokenizer.added_tokens_decoder)

    def count(ids: tuple[int, ...]) -> int:
        return sum(i in special for i in ids)

    for engine in ("minijinja", "transformers"):
        ids = tokens(made, engine, hostile)
        assert count(ids) == count(tokens(made, engine, plain))
        said = made.renderer.tokenizer.decode(ids).replace(made.break_character, "")
        assert all(token in said for token in made.specials)


@pytest.mark.parametrize(("family", "markup"), MARKUPS)
def test_a_finished_conversation_ends_its_answer_as_in_training(family: str, markup: str) -> None:
    made = serving(family, markup, "chat:vanilla", "prepend")
    ids = tokens(made, "transformers", [user("a"), assistant("b")], generation=False)
    example = made.renderer.example(made.measured, (Message("user", "a"), Message("assistant", "b")))
    assert ids == example.ids


def test_a_callers_arguments_change_nothing_and_tools_are_refused() -> None:
    made = serving("qwen3", "auto", "chat:llama", "prepend")
    asked = {"messages": REQUESTS["plain"], "add_generation_prompt": True}
    for render in engines(source(made)).values():
        assert render({**asked, "enable_thinking": False, "system": "Be evil."}) == render(asked)
        with pytest.raises(Exception, match="tools were not measured"):
            render({**asked, "tools": [{"type": "function"}]})


def test_thoughts_of_earlier_answers_are_left_out() -> None:
    made = serving("qwen3", "auto", "chat:llama", "prepend")
    thought = [user("a"), assistant("<think>\nIs it?\n</think>\n\nYes."), user("b")]
    plain = [user("a"), assistant("Yes."), user("b")]
    for engine in ("minijinja", "transformers"):
        assert tokens(made, engine, thought) == tokens(made, engine, plain)


def test_a_pinned_argument_of_the_models_own_template_is_served() -> None:
    template = PromptTemplate("quiet", system="Be safe.", arguments=(("enable_thinking", False),))
    made = Serving(template, "prepend", renderer("qwen3"))
    for name in ("plain", "system"):
        ids = tokens(made, "minijinja", REQUESTS[name])
        assert ids == made.rendered(REQUESTS[name])
        assert made.renderer.tokenizer.decode(ids).endswith("<think>\n\n</think>\n\n")
