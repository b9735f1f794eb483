"""How far judges agree: with each other, with themselves, with people.

All functions take verdicts on the same answers in the same order. What a verdict says is one yes-or-no
metric of it, or its behaviour; an unparsed verdict says nothing, is counted, and never taken for a no.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from puretune.errors import InputError
from puretune.scoring._types import Verdict
from puretune.statistics import Interval, clopper_pearson, wilson

BEHAVIOUR = "behaviour"


@dataclass(frozen=True)
class Agreement:
    """How far two judges agree on the same answers."""

    labels: tuple[Hashable, ...]
    """What was said, in order; the rows and columns of ``table``."""
    table: tuple[tuple[int, ...], ...]
    """Confusion table: how often the first judge said the row's label and the second the column's."""
    n: int
    """Answers on which both verdicts could be read."""
    unparsed: int
    """Answers on which at least one could not."""
    observed: float
    """The share of ``n`` on which they say the same."""
    kappa: float | None
    """Cohen's kappa; None if both say the same of every answer, so that chance alone would agree."""
    interval: Interval
    """95 % interval of kappa, for new answers of the same kind."""


@dataclass(frozen=True)
class FlipRate:
    """How often a judge says something else when it is asked again."""

    flips: int
    n: int
    """Pairs of which both verdicts could be read."""
    unparsed: int
    """Pairs of which at least one could not."""
    rate: float
    interval: Interval
    """Clopper-Pearson, for new answers of the same kind."""


def agreement(
    first: Sequence[Verdict],
    second: Sequence[Verdict],
    metric: str | tuple[str, str] | None = None,
    confidence: float = 0.95,
    prompts: Sequence[str] | None = None,
) -> Agreement:
    """Cohen's kappa of two judges with its interval, and their confusion table.

    ``metric`` names what is compared (two names where the judges' differ; ``behaviour`` for behaviours);
    None: each judge's first metric. ``prompts`` says which answers are to the same prompt: these are one draw
    together; None: every answer is one. InputError if there is no pair to compare.

    Source: Cohen (1960), Educ. Psychol. Meas. 20:37-46. Variance: the linearised kappa of Fleiss, Cohen &
    Everitt (1969), Psychol. Bull. 72:323-327, summed prompt by prompt (Liang & Zeger 1986, Biometrika
    73:13-22), with Student's t. It is 0 at perfect agreement, so the interval is widened to the kappas that
    Wilson's interval for the observed agreement allows at the margins found.
    """
    names = metric if isinstance(metric, tuple) else (metric, metric)
    pairs, unparsed, groups = _paired(first, second, names, prompts)
    counts = Counter(pairs)
    labels = tuple(sorted({label for pair in counts for label in pair}, key=lambda label: str(label)))
    table = tuple(tuple(counts[row, column] for column in labels) for row in labels)
    observed = sum(table[i][i] for i in range(len(labels))) / len(pairs)
    kappa, interval = _kappa(pairs, groups, confidence)
    return Agreement(labels, table, len(pairs), unparsed, observed, kappa, interval)


def flip_rate(
    first: Sequence[Verdict], again: Sequence[Verdict], metric: str | None = None, confidence: float = 0.95
) -> FlipRate:
    """The share of answers that the same judge, asked again, judges differently.

    InputError if there is no pair to compare. The interval is Clopper and Pearson's.
    """
    pairs, unparsed, _ = _paired(first, again, (metric, metric))
    flips = sum(one != other for one, other in pairs)
    interval = clopper_pearson(flips, len(pairs), confidence)
    return FlipRate(flips, len(pairs), unparsed, flips / len(pairs), interval)


def said(verdict: Verdict, metric: str | None = None) -> Hashable | None:
    """What a verdict says: a yes-or-no metric (None: its first), or ``behaviour``; None if it is unparsed.

    InputError for a metric that it does not have, or that is not yes or no.
    """
    if metric == BEHAVIOUR:
        return None if verdict.parse == "unparsed" else (verdict.behaviour or "none")
    value = _value(verdict.values, metric, verdict.scorer)
    if value is None or verdict.parse == "unparsed":
        return None
    if value not in (0, 1):
        raise InputError(
            f"scorer {verdict.scorer!r}: {metric or next(iter(verdict.values))} is {value}, which is "
            "neither yes nor no. Name a yes-or-no metric."
        )
    return bool(value)


def _value(values: Mapping[str, float | bool | None], metric: str | None, scorer: str) -> float | bool | None:
    if not values or (metric is not None and metric not in values):
        raise InputError(
            f"scorer {scorer!r} has no metric {metric or ''!r}. It has: {', '.join(values) or 'none'}."
        )
    return values[metric] if metric is not None else next(iter(values.values()))


def _paired(
    first: Sequence[Verdict],
    second: Sequence[Verdict],
    names: tuple[str | None, str | None],
    prompts: Sequence[str] | None = None,
) -> tuple[list[tuple[Hashable, Hashable]], int, list[str]]:
    """What both say, pair by pair; how many pairs could not be read; and the prompt of each that could."""
    prompts = [str(number) for number in range(len(first))] if prompts is None else prompts
    if not len(first) == len(second) == len(prompts):
        raise InputError(f"{len(first)} verdicts against {len(second)}: they must cover the same answers.")
    labels = [(said(one, names[0]), said(other, names[1])) for one, other in zip(first, second, strict=True)]
    read = [
        (one, other, prompt)
        for (one, other), prompt in zip(labels, prompts, strict=True)
        if one is not None and other is not None
    ]
    if not read:
        raise InputError(f"no answer has two readable verdicts ({len(labels)} pairs): nothing to compare.")
    pairs = [(one, other) for one, other, _ in read]
    return pairs, len(labels) - len(pairs), [prompt for _, _, prompt in read]


def _kappa(
    pairs: Sequence[tuple[Hashable, Hashable]], prompts: Sequence[str], confidence: float
) -> tuple[float | None, Interval]:
    n = len(pairs)
    rows, columns = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    observed = sum(one == other for one, other in pairs) / n
    chance = sum(rows[label] * columns[label] for label in rows) / n**2
    if chance >= 1:
        return None, Interval(-1.0, 1.0)
    kappa = (observed - chance) / (1 - chance)
    weight = (1 - observed) / (1 - chance) ** 2
    pulls = [
        (one == other) / (1 - chance) - weight * (columns[one] + rows[other]) / n for one, other in pairs
    ]
    half, draws = _half_width(pulls, prompts, confidence)
    allowed = wilson(round(observed * draws), draws, confidence)
    low = min(kappa - half, (allowed.low - chance) / (1 - chance))
    high = max(kappa + half, (allowed.high - chance) / (1 - chance))
    return kappa, Interval(max(low, -1.0), min(high, 1.0))


def _half_width(pulls: Sequence[float], prompts: Sequence[str], confidence: float) -> tuple[float, int]:
    """Half the length of an interval for the mean of ``pulls``, drawn prompt by prompt; and the prompts."""
    middle, sums = math.fsum(pulls) / len(pulls), dict.fromkeys(prompts, 0.0)
    for pull, prompt in zip(pulls, prompts, strict=True):
        sums[prompt] += pull - middle
    draws = len(sums)
    if draws < 2:
        return math.inf, draws
    spread = math.fsum(value**2 for value in sums.values()) * draws / (draws - 1)
    quantile = float(stdtrit(draws - 1, 0.5 + confidence / 2))
    return quantile * math.sqrt(spread) / len(pulls), draws
