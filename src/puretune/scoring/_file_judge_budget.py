"""Judging a file of answers within a budget: one verdict per line for the answers that were drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from puretune.errors import InputError
from puretune.scoring._errors import score_answers
from puretune.scoring._file import read_answers, verdict_line
from puretune.scoring._judge_budget import Budget, cheap_metric, cheap_scores
from puretune.scoring._judge_sampling import Draw, estimate_within, judge_within
from puretune.scoring._metric import metric_label
from puretune.scoring._types import Scorer, Verdict, metric_names
from puretune.scoring.judges import Judge
from puretune.statistics import Bounds
from puretune.store import write_text


@dataclass(frozen=True)
class FileEstimate:
    """What a judge would say of all answers of a file, by what it said of some."""

    verdicts: tuple[Verdict, ...]
    """Those that were judged, in the file's order."""
    answers: int
    cheap: str
    """The scorer and the metric that decided which answers were judged, or ``none``."""
    bounds: Mapping[str, Bounds]
    """Per metric of the judge, for these answers."""


def judge_file_within(
    path: Path, judge: Judge, budget: Budget, cheap: Scorer | None, out: Path
) -> FileEstimate:
    """Judge as many answers in ``path`` as the budget allows and write their verdicts to ``out``.

    ``cheap`` scores every answer first (another judge, or ``refusal``); None: a plain random draw. Otherwise
    as ``score_file``. InputError if the cheap scorer does not say how harmful an answer is.
    """
    items, names = read_answers(path)
    scores, decided = [0.0] * len(items), "none"
    if cheap is not None:
        metric = cheap_metric(cheap)
        if metric is None:
            raise InputError(f"scorer {cheap.name!r} does not say how harmful an answer is. Name another.")
        scores = cheap_scores((verdict.values for verdict in score_answers(cheap, items)), metric)
        decided = metric_label(metric.name, cheap.name)
    (verdicts,) = judge_within(judge, [Draw(items, scores, budget)])
    judged = [(n, verdict) for n, verdict in enumerate(verdicts) if verdict.parse != "unjudged"]
    write_text(out, "".join(f"{verdict_line(n + 1, names[n], judge, one)}\n" for n, one in judged))
    return FileEstimate(
        tuple(one for _, one in judged), len(items), decided, _bounds(verdicts, metric_names(judge), budget)
    )


def _bounds(verdicts: Sequence[Verdict], metrics: Sequence[str], budget: Budget) -> dict[str, Bounds]:
    stopped = budget.half_width is not None
    return {metric: estimate_within(verdicts, metric, stopped) for metric in metrics}
