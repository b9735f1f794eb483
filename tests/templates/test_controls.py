"""Control templates: as many tokens as the safety prompt, nothing of safety, the same text each time."""

from __future__ import annotations

import pytest

from puretune.models import MessagesRenderer
from puretune.templates import (
    ControlKind,
    Message,
    PromptTemplate,
    Renderer,
    control,
    markup_named,
    random_prefix,
    without_system,
)
from puretune.templates import resolve_template as named
from tests.small_tokenizers import CHATML, LLAMA2, byte_level, sentencepiece


@pytest.fixture(params=["sentencepiece", "byte-level"], scope="module")
def renderer(request: pytest.FixtureRequest) -> Renderer:
    tokenizer = sentencepiece(LLAMA2) if request.param == "sentencepiece" else byte_level(CHATML)
    return Renderer(tokenizer, markup_named("auto", tokenizer))


def tokens(renderer: Renderer, template: PromptTemplate, text: str) -> int:
    return len(renderer.prompt(template, [Message("user", text)]).ids)


@pytest.mark.parametrize("kind", ["neutral", "shuffled", "random-prefix"])
@pytest.mark.parametrize("safe", ["CL", "CS", "CM"])
def test_a_control_has_as_many_tokens_as_the_safety_prompt(
    renderer: Renderer, kind: ControlKind, safe: str
) -> None:
    template = named(safe)
    made = control(renderer, template, kind)
    assert (made.note, made.tokens) == ("", made.wanted)
    assert made.template is not None
    assert made.template.name == f"{safe}-{kind}"
    assert not made.template.safety
    assert made.template.user == template.user
    for query in ("What is 2 + 2?", "Wie heißt du? 42"):
        assert tokens(renderer, made.template, query) == tokens(renderer, template, query)


@pytest.mark.parametrize("length", [5, 150])
def test_a_random_prefix_has_as_many_tokens_as_asked_for(renderer: Renderer, length: int) -> None:
    made = [random_prefix(renderer, length, seed) for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]
    for text in made:
        assert len(renderer.tokenizer(text, add_special_tokens=False)["input_ids"]) == length
    assert len(random_prefix(MessagesRenderer(), length, 0).split()) == length


def test_a_control_is_drawn_with_its_seed(renderer: Renderer) -> None:
    first, again, other = (control(renderer, named("CL"), "neutral", seed).template for seed in (0, 0, 1))
    assert first == again != other


def test_shuffled_has_the_safety_prompts_own_words_in_another_order(renderer: Renderer) -> None:
    safe = named("CL").system or ""
    made = control(renderer, named("CL"), "shuffled").template
    assert made is not None
    assert sorted((made.system or "").split()) == sorted(safe.split())
    assert made.system != safe


def test_a_neutral_prompt_shares_no_sentence_with_the_safety_prompt(renderer: Renderer) -> None:
    made = control(renderer, named("CL"), "neutral").template
    words = set((made.system or "").lower().split()) if made else set()
    assert not words & {"safe", "harmful", "unethical", "honest", "refuse", "answer", "help", "helpful"}


@pytest.mark.parametrize(
    ("template", "user"), [("CV", "Question: %s"), ("TV", "Question: %s\nAnswer:"), ("CA", None)]
)
def test_a_paraphrase_says_the_training_template_in_other_words(
    renderer: Renderer, template: str, user: str | None
) -> None:
    made = control(renderer, named(template), "paraphrase")
    assert made.template is not None
    assert made.template.user != (user or named(template).user)
    assert bool(made.template.system) == bool(named(template).system)
    assert made.note == "" or f"{made.tokens} tokens where" in made.note


@pytest.mark.parametrize(
    ("template", "kind", "why"),
    [
        (named("CV"), "neutral", "no system prompt"),
        (named("CL"), "paraphrase", "carries safety instructions"),
        (named("none"), "paraphrase", "define a template of your own"),
        (PromptTemplate("mine", user="Dear model, %s"), "paraphrase", "define a template of your own"),
    ],
)
def test_what_cannot_be_made_says_why(
    renderer: Renderer, template: PromptTemplate, kind: ControlKind, why: str
) -> None:
    made = control(renderer, template, kind)
    assert made.template is None
    assert why in made.note
    assert why in str(made)


def test_a_length_that_cannot_be_met_is_said() -> None:
    tokenizer = byte_level(CHATML)
    one_word = PromptTemplate("short", system="!", safety=True)
    made = control(Renderer(tokenizer, markup_named("auto", tokenizer)), one_word, "neutral")
    assert f"{made.tokens} tokens where short has {made.wanted}" in made.note


@pytest.mark.parametrize("kind", ["neutral", "shuffled", "random-prefix"])
def test_behind_an_endpoint_the_length_is_that_of_the_estimate(kind: ControlKind) -> None:
    made = control(MessagesRenderer(), named("CL"), kind)
    assert made.tokens == made.wanted


def test_without_a_system_prompt_a_template_is_the_known_one_if_there_is_one() -> None:
    assert without_system(named("CL"), [named("TV"), named("CV")]) is named("CV")
    assert without_system(named("CL"), []).name == "CL-no-system"
