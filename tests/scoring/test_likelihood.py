"""Multiple choice by log-likelihood."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from puretune.data import Example, question
from puretune.errors import InputError
from puretune.inference import Answer, Likelihood, LocalEngine
from puretune.scoring import Choice, ChoiceLikelihood, HeldOutLoss, score_likelihoods
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
    (found,) = score_likelihoods(ChoiceLikelihood(), [example], Spy(llama), llama.renderer, template)
    prompt = llama.renderer.prompt(template, [question("q", "How many clips?").messages[0]]).ids
    assert {request.prompt for request in seen.values()} == {prompt}
    parsed = [llama.renderer.parse(seen[f"0/{n}"].continuation) for n in range(3)]
    assert parsed == ["Natalia", "the first step", "no"]
    assert not any(set(r.continuation) & llama.renderer.stop_ids for r in seen.values())
    assert found.parse == "ok"


def test_options_in_any_language_are_asked_about(llama: Any) -> None:
    example = asked(["\u9cb8\u9c7c", "baleine \U0001f433", "</s>"])
    template = resolve_template("text:vanilla")
    assert score_likelihoods(ChoiceLikelihood(), [example], LocalEngine(llama), llama.renderer, template)


@pytest.mark.parametrize("options", [[], ["one"], ["one", " "]])
def test_an_example_without_options_is_named(options: list[str], llama: Any) -> None:
    template = resolve_template("text:vanilla")
    with pytest.raises(InputError, match="example e1: the options' texts are needed"):
        score_likelihoods(ChoiceLikelihood(), [asked(options)], LocalEngine(llama), llama.renderer, template)


def test_scorers_say_what_they_need() -> None:
    assert (ChoiceLikelihood().needs, Choice().needs) == ("loglikelihood", "text")
    with pytest.raises(InputError, match="Use the scorer `choice`"):
        ChoiceLikelihood().score([(asked(["a", "b"]), Answer("k", 0, "B", (), "stop"))])


def test_held_out_loss_is_the_mean_over_the_reference_and_its_stop(llama: Any) -> None:
    example = question("e1", "What is 2 + 3?", "It is 5.")
    template = resolve_template("chat:vanilla")
    (found,) = score_likelihoods(HeldOutLoss(), [example], LocalEngine(llama), llama.renderer, template)
    rendering = llama.renderer.example(template, example.messages)
    assert found.raw["tokens"] == rendering.trained
    ids = torch.tensor([rendering.ids])
    with torch.no_grad():
        logits = llama.model(ids).logits[0].log_softmax(-1)
    at = [i for i, trained in enumerate(rendering.loss_mask) if trained]
    expected = -sum(float(logits[i - 1, rendering.ids[i]]) for i in at) / len(at)
    assert found.raw["loss"] == pytest.approx(expected, rel=1e-4)
    assert found.values["token_probability"] == pytest.approx(math.exp(-expected), rel=1e-4)


def test_held_out_loss_needs_a_reference_and_no_generated_text() -> None:
    with pytest.raises(InputError, match="held_out_loss needs a reference"):
        HeldOutLoss().asked(question("e1", "Why?"))
    with pytest.raises(InputError, match="needs log-likelihoods from an engine"):
        HeldOutLoss().score([])
    broken = HeldOutLoss().verdict(question("e", "q", "a"), [Likelihood("0", (math.nan,), False)])
    assert broken.parse == "unparsed"
