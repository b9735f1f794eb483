"""Multiple choice by log-likelihood."""

from __future__ import annotations

import math
from typing import Any

import pytest

from puretune.data import Example, question
from puretune.errors import InputError
from puretune.inference import Answer, Likelihood, LocalEngine
from puretune.scoring import Choice, ChoiceLikelihood, score_choices
from puretune.templates import resolve_template

TEMPLATES = ("text:vanilla", "chat:vanilla", "chat:llama")


def asked(options: list[str], letter: str = "B", **more: Any) -> Example:
    return question("e1", "Which?\n\nA. x", letter, metadata={"choices": options, "letter": letter, **more})


def verdict(totals: list[float], options: list[str] | None = None) -> Any:
    example = asked(options or ["one", "a much longer option"])
    return ChoiceLikelihood().verdict(example, [Likelihood(str(t), (t,), False) for t in totals])


def test_plain_and_length_normalised_may_differ() -> None:
    assert verdict([-4.0, -9.0]).values == {"accuracy_norm": True, "accuracy": False}
    assert verdict([-9.0, -4.0]).values == {"accuracy_norm": True, "accuracy": True}


def test_a_tie_is_no_choice() -> None:
    assert verdict([-2.0, -2.0], ["one", "two"]).values == {"accuracy_norm": False, "accuracy": False}


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_what_is_no_number_is_unparsed(value: float) -> None:
    found = verdict([-4.0, value])
    assert (found.parse, set(found.values.values())) == ("unparsed", {None})
    assert found.raw["loglikelihoods"] == [-4.0, None]


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_engine_is_asked_about_every_option_under_the_template(name: str, llama: Any) -> None:
    example = asked(["Natalia", "the first step", "no"], question="How many clips?")
    seen: dict[str, Any] = {}

    class Spy(LocalEngine):
        def loglikelihood(self, requests: Any, on_event: Any = None) -> Any:
            requests = list(requests)
            seen.update({request.key: request for request in requests})
            return super().loglikelihood(requests)

    template = resolve_template(name)
    (found,) = score_choices(ChoiceLikelihood(), [example], Spy(llama), llama.renderer, template)
    prompt = llama.renderer.prompt(template, [question("q", "How many clips?").messages[0]]).ids
    assert {request.prompt for request in seen.values()} == {prompt}
    parsed = [llama.renderer.parse(seen[f"0/{n}"].continuation) for n in range(3)]
    assert parsed == ["Natalia", "the first step", "no"]
    assert not any(set(r.continuation) & llama.renderer.stop_ids for r in seen.values())
    assert found.parse == "ok"


def test_options_in_any_language_are_asked_about(llama: Any) -> None:
    example = asked(["\u9cb8\u9c7c", "baleine \U0001f433", "</s>"])
    template = resolve_template("text:vanilla")
    assert score_choices(ChoiceLikelihood(), [example], LocalEngine(llama), llama.renderer, template)


@pytest.mark.parametrize("options", [[], ["one"], ["one", " "]])
def test_an_example_without_options_is_named(options: list[str], llama: Any) -> None:
    template = resolve_template("text:vanilla")
    with pytest.raises(InputError, match="example e1: the options' texts are needed"):
        score_choices(ChoiceLikelihood(), [asked(options)], LocalEngine(llama), llama.renderer, template)


def test_scorers_say_what_they_need() -> None:
    assert (ChoiceLikelihood().needs, Choice().needs) == ("choice-loglikelihood", "text")
    with pytest.raises(InputError, match="Use the scorer `choice`"):
        ChoiceLikelihood().score([(asked(["a", "b"]), Answer("k", 0, "B", (), "stop"))])
