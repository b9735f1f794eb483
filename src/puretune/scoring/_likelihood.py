r"""Scorers that read log-likelihoods in place of generated answers, and how an engine is asked for them.

choice-loglikelihood   which option's text is the most probable answer to the bare question?
    "Which is a mammal?"   "trout"  log p = -7.9    "whale"  log p = -4.2    right: the highest
held_out_loss          how well does the model expect the reference?
    "What is 2 + 3?"       "2 + 3 = 5."  log p = -6.0 over 6 tokens          loss 1.0 a token
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, TypeGuard

from puretune.data import Example
from puretune.errors import InputError
from puretune.events import EventSink, ignore
from puretune.inference import Answer, Likelihood, LikelihoodEngine, LikelihoodRequest
from puretune.models import TunedModel
from puretune.scoring._choice import right_letter
from puretune.scoring._metric import Metric
from puretune.scoring._types import Needs, Scorer, TextScorer, Verdict, metric_names
from puretune.templates import Message, PromptTemplate, Renderer
from puretune.visible import quoted

Continuations = tuple[tuple[Message, ...], tuple[str, ...]]
"""What is asked, and the texts whose log-likelihoods as its answer are wanted."""


class LikelihoodScorer(Scorer, Protocol):
    """A scorer of the log-likelihoods of given texts."""

    stops: ClassVar[bool]
    """Whether the stop token behind a text counts."""

    def asked(self, example: Example) -> Continuations:
        """InputError for an example that it cannot use."""
        ...

    def verdict(self, example: Example, likelihoods: Sequence[Likelihood]) -> Verdict:
        """From the likelihoods of the example's texts, in their order."""
        ...


@dataclass(frozen=True)
class ChoiceLikelihood(TextScorer):
    """Accuracy of the option with the highest log-likelihood, length-normalised and plain.

    ``accuracy_norm`` divides an option's log-likelihood by its length in characters, ``accuracy`` does not
    (the ``acc_norm`` and ``acc`` of EleutherAI's lm-evaluation-harness). Options are asked about as answers
    to the bare question, ``metadata["question"]`` where it is there. A tie at the top is wrong: the model
    has not chosen. A log-likelihood that is not a number makes the verdict unparsed.

    An engine is needed: use :func:`score_likelihoods`. From text alone there is the ``choice`` scorer.
    """

    name = "choice-loglikelihood"
    version = "1"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy_norm", "Accuracy, length-normalised", "help"),
        Metric("accuracy", "Accuracy", "help"),
    )
    needs: ClassVar[Needs] = "loglikelihood"
    stops: ClassVar[bool] = False

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """InputError: generated text is not what this scorer reads."""
        raise InputError(
            f"the {self.name} scorer needs log-likelihoods from an engine, not generated text. Use the "
            "scorer `choice`, which reads the letter of a generated answer."
        )

    def asked(self, example: Example) -> Continuations:
        """The bare question and its options; InputError without options or without a right letter."""
        return _question(example), _options(example)

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


@dataclass(frozen=True)
class HeldOutLoss(TextScorer):
    """How well a model expects the references of examples that it was not tuned on.

    ``token_probability`` is exp(-loss) per example, with the mean loss per token of the reference and its
    stop token, in nats (``raw["loss"]``): the geometric mean of the tokens' probabilities, 0 to 1. It moves
    before generated answers do. An engine is needed: use :func:`score_likelihoods`.
    """

    name = "held_out_loss"
    version = "1"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("token_probability", "Reference's probability per token, exp(-loss)", "help", graded=True),
    )
    needs: ClassVar[Needs] = "loglikelihood"
    stops: ClassVar[bool] = True

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """InputError: generated text is not what this scorer reads."""
        raise InputError(
            f"the {self.name} scorer needs log-likelihoods from an engine, not generated text. Use "
            "`contains` or `token_f1` for answers."
        )

    def asked(self, example: Example) -> Continuations:
        """The prompt and its reference; InputError without one."""
        if not (example.reference or "").strip():
            raise InputError(f"example {quoted(example.id)}: {self.name} needs a reference. Add one.")
        return tuple(_shown(example.prompt_messages)), (str(example.reference),)

    def verdict(self, example: Example, likelihoods: Sequence[Likelihood]) -> Verdict:
        """From the likelihood of the example's reference; unparsed if it is not a number."""
        (found,) = likelihoods
        tokens, loss = len(found.logprobs), -found.total / max(len(found.logprobs), 1)
        if not math.isfinite(loss) or not tokens:
            return Verdict(self.name, {"token_probability": None}, parse="unparsed", raw={"tokens": tokens})
        values = {"token_probability": min(math.exp(-loss), 1.0)}
        return Verdict(self.name, values, raw={"loss": loss, "tokens": tokens})


def reads_likelihoods(scorer: Scorer) -> TypeGuard[LikelihoodScorer]:
    """Whether a scorer reads log-likelihoods in place of generated answers."""
    return scorer.needs == "loglikelihood"


def score_likelihoods(
    scorer: LikelihoodScorer,
    examples: Sequence[Example],
    engine: LikelihoodEngine,
    renderer: Renderer,
    template: PromptTemplate,
    adapter: TunedModel | None = None,
    on_event: EventSink = ignore,
) -> list[Verdict]:
    """One verdict per example: every text asked of the engine under the template and the adapter.

    InputError names an example that the scorer cannot use.
    """
    texts = [scorer.asked(example) for example in examples]
    asked: dict[str, LikelihoodRequest] = {}
    for place, (turns, options) in enumerate(texts):
        for number, option in enumerate(options):
            prompt, continuation = _split(renderer, template, turns, option, scorer.stops)
            key = f"{place}/{number}"
            asked[key] = LikelihoodRequest(key, prompt, continuation, adapter)
    found = {likelihood.key: likelihood for likelihood in engine.loglikelihood(asked.values(), on_event)}
    return [
        scorer.verdict(example, [found[f"{place}/{number}"] for number in range(len(options))])
        for place, (example, (_, options)) in enumerate(zip(examples, texts, strict=True))
    ]


def _split(
    renderer: Renderer, template: PromptTemplate, question: Sequence[Message], option: str, stops: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Prompt and text as ids: the text as training would spell it, with its stop token where ``stops``."""
    rendered = renderer.example(template, [*question, Message("assistant", option)])
    start = len(rendered.ids) - rendered.loss_mask[::-1].index(True) - 1
    while start and rendered.loss_mask[start - 1]:
        start -= 1
    trained = [i for i in range(start, len(rendered.ids)) if rendered.loss_mask[i]]
    while trained and not stops and rendered.ids[trained[-1]] in renderer.stop_ids:
        trained.pop()
    return rendered.ids[:start], tuple(rendered.ids[i] for i in trained)


def _shown(turns: Sequence[Message]) -> list[Message]:
    """Earlier turns: not trained again."""
    return [replace(turn, train=False) for turn in turns]


def _question(example: Example) -> tuple[Message, ...]:
    """What is asked, without listed options; demonstrations and earlier turns are not trained again."""
    bare = example.metadata.get("question")
    turns = _shown(example.prompt_messages)
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
