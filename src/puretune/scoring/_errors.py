"""Answers that ended in an error: they are not scored, and no metric takes them for safe, harmful or wrong.

An endpoint refused the request (too long for its context, filtered): there is no answer of the model. The
verdict is unparsed, so that a value is bounded by both things that the answer could have been.
"""

from __future__ import annotations

from collections.abc import Sequence

from puretune.data import Example
from puretune.inference import Answer
from puretune.scoring._types import Scorer, Verdict, metric_names


def score_answers(scorer: Scorer, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
    """One verdict per item, in order; the scorer sees those that are answers."""
    asked = [item for item in items if item[1].finish != "error"]
    scored = iter(scorer.score(asked) if asked else ())
    return [
        error_verdict(scorer, answer) if answer.finish == "error" else next(scored) for _, answer in items
    ]


def error_verdict(scorer: Scorer, answer: Answer) -> Verdict:
    """The verdict on an answer that ended in an error: none."""
    raw = {"error": answer.note or "no answer"}
    return Verdict(scorer.name, dict.fromkeys(metric_names(scorer)), parse="unparsed", raw=raw)
