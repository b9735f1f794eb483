r"""Multiple choice by log-likelihood: which option's text is the most probable answer to the bare question?

question   "Which is a mammal?"                        asked under the test template, no options listed
options    "trout"  log p = -7.9        "whale"  log p = -4.2        right where the right one is highest
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeGuard

from puretune.data import Example
from puretune.errors import InputError
from puretune.events import EventSink, ignore
from puretune.inference import Answer, Likelihood, LikelihoodEngine, LikelihoodRequest
from puretune.models import TunedModel
from puretune.scoring._choice import right_letter
from puretune.scoring._metric import Metric
from puretune.scoring._types import Needs, Scorer, TextScorer, Verdict, metric_names
from puretune.templates import Message, PromptTemplate, Renderer


@dataclass(frozen=True)
class ChoiceLikelihood(TextScorer):
    """Accuracy of the option with the highest log-likelihood, length-normalised and plain.

    ``accuracy_norm`` divides an option's log-likelihood by its length in characters, ``accuracy`` does not
    (the ``acc_norm`` and ``acc`` of EleutherAI's lm-evaluation-harness). Options are asked about as answers
    to the bare question, ``metadata["question"]`` where it is there. A tie at the top is wrong: the model
    has not chosen. A log-likelihood that is not a number makes the verdict unparsed.

    An engine is needed: use :func:`score_choices`. From text alone there is the ``choice`` scorer.
    """

    name = "choice-loglikelihood"
    version = "1"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy_norm", "Accuracy, length-normalised", "help"),
        Metric("accuracy", "Accuracy", "help"),
    )
    needs: ClassVar[Needs] = "choice-loglikelihood"

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """InputError: generated text is not what this scorer reads."""
        raise InputError(
            f"the {self.name} scorer needs log-likelihoods from an engine, not generated text. Use the "
            "scorer `choice`, which reads the letter of a generated answer."
        )

    def check(self, examples: Sequence[Example]) -> None:
        """InputError for the first example without options or without a right letter."""
        for example in examples:
            _options(example)

    def verdict(self, example: Example, likelihoods: Sequence[Likelihood]) -> Verdict:
        """From the likelihoods of one example's options, in their order."""
        options = _options(example)
        right = ord(right_letter(example)) - ord("A")
        plain = [likelihood.total for likelihood in likelihoods]
        raw = {"loglikelihoods": [value if math.isfinite(value) else None for value in plain], "right": right}
        if not all(math.isfinite(value) for value in plain):
            return Verdict(self.name, dict.fromkeys(metric_names(self)), parse="unparsed", raw=raw)
        norm = [value / len(option) for value, option in zip(plain, options, strict=True)]
        values = {"accuracy_norm": _best(norm) == right, "accuracy": _best(plain) == right}
        return Verdict(self.name, values, raw=raw)


def reads_options(scorer: Scorer) -> TypeGuard[ChoiceLikelihood]:
    """Whether a scorer reads the log-likelihoods of options in place of generated answers."""
    return scorer.needs == "choice-loglikelihood"


def score_choices(
    scorer: ChoiceLikelihood,
    examples: Sequence[Example],
    engine: LikelihoodEngine,
    renderer: Renderer,
    template: PromptTemplate,
    adapter: TunedModel | None = None,
    on_event: EventSink = ignore,
) -> list[Verdict]:
    """One verdict per example: every option asked of the engine under the template and the adapter.

    InputError names an example without options or without a right letter.
    """
    scorer.check(examples)
    asked: dict[str, LikelihoodRequest] = {}
    for place, example in enumerate(examples):
        for number, option in enumerate(_options(example)):
            prompt, continuation = _split(renderer, template, _question(example), option)
            key = f"{place}/{number}"
            asked[key] = LikelihoodRequest(key, prompt, continuation, adapter)
    found = {likelihood.key: likelihood for likelihood in engine.loglikelihood(asked.values(), on_event)}
    return [
        scorer.verdict(example, [found[f"{place}/{number}"] for number in range(len(_options(example)))])
        for place, example in enumerate(examples)
    ]


def _split(
    renderer: Renderer, template: PromptTemplate, question: Sequence[Message], option: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Prompt and option as ids: the option as training would spell it, without the stop token and after."""
    rendered = renderer.example(template, [*question, Message("assistant", option)])
    start = len(rendered.ids) - rendered.loss_mask[::-1].index(True) - 1
    while start and rendered.loss_mask[start - 1]:
        start -= 1
    trained = [i for i in range(start, len(rendered.ids)) if rendered.loss_mask[i]]
    while trained and rendered.ids[trained[-1]] in renderer.stop_ids:
        trained.pop()
    return rendered.ids[:start], tuple(rendered.ids[i] for i in trained)


def _question(example: Example) -> tuple[Message, ...]:
    """What is asked, without listed options; demonstrations and earlier turns are not trained again."""
    bare = example.metadata.get("question")
    turns = [replace(turn, train=False) for turn in example.prompt_messages]
    if isinstance(bare, str) and turns:
        turns[-1] = replace(turns[-1], content=bare)
    return tuple(turns)


def _options(example: Example) -> tuple[str, ...]:
    options = tuple(str(option) for option in example.metadata.get("choices", ()))
    letter = right_letter(example)
    if len(options) < 2 or ord(letter) - ord("A") >= len(options) or not all(map(str.strip, options)):
        raise InputError(
            f"example {example.id}: the options' texts are needed as 'choices' in the metadata, two or "
            f"more, the right one ({letter}) among them; found {len(options)}."
        )
    return options


def _best(values: Sequence[float]) -> int | None:
    """The index of the highest value; None for a tie."""
    top = max(values)
    return values.index(top) if values.count(top) == 1 else None
