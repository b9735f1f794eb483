"""Calibrating a judge against people's labels: how often it is right, and what the rate would be by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from puretune.errors import InputError
from puretune.scoring._agreement import Agreement, agreement, said
from puretune.scoring._types import Verdict
from puretune.statistics import Interval, clopper_pearson


@dataclass(frozen=True)
class Rate:
    """A share with its interval; None where nothing could be counted (the interval is then [0, 1])."""

    successes: int
    n: int
    value: float | None
    interval: Interval


@dataclass(frozen=True)
class Calibration:
    """A judge against people's labels. ``yes`` is what the judge's metric counts (an attack that
    succeeded)."""

    judged: int
    """All answers the judge was asked about."""
    labelled: int
    """Those with a label."""
    unparsed: int
    """Verdicts that could not be read, among ``judged``."""
    sensitivity: Rate
    """Of answers that people call yes, the share that the judge calls yes. Clopper-Pearson interval."""
    specificity: Rate
    """Of answers that people call no, the share that the judge calls no. Clopper-Pearson interval."""
    apparent: float
    """The judge's own rate over all answers; unparsed ones count as no."""
    corrected: float | None
    """The rate that people would find, by Rogan and Gladen, in [0, 1]; None where the judge says yes no more
    often of people's yes than of their no."""
    corrected_interval: Interval
    """For new answers of the same kind; unparsed verdicts widen it to what they could have been."""
    agreement: Agreement | None
    """Judge (rows) and people (columns) on the labelled answers; None where no labelled verdict can be
    read."""


def calibrate(
    verdicts: Sequence[Verdict],
    labels: Sequence[bool | None],
    metric: str | None = None,
    confidence: float = 0.95,
) -> Calibration:
    """Sensitivity, specificity and the corrected rate, from labels of some of the judged answers.

    ``labels`` are in the verdicts' order, None where people have not looked. The labelled answers must be
    drawn at random from the judged ones: labels of the
    doubtful cases only make the judge look worse than it is. InputError without labels.

    Source: Rogan & Gladen (1978), Am. J. Epidemiol. 107:71-76; interval by Lang & Reiczigel (2014), Prev.
    Vet. Med. 113:13-22, which takes the uncertainty of sensitivity and specificity in.
    """
    if len(verdicts) != len(labels):
        raise InputError(f"{len(verdicts)} verdicts and {len(labels)} labels: give one label (or None) each.")
    if all(label is None for label in labels):
        raise InputError("no answer has a label. Label some of them first.")
    read = [said(verdict, metric) for verdict in verdicts]
    sensitivity = _rate(
        [one is True for one, label in zip(read, labels, strict=True) if _both(one, label, True)]
    )
    specificity = _rate(
        [one is False for one, label in zip(read, labels, strict=True) if _both(one, label, False)]
    )
    yes, unparsed = sum(one is True for one in read), sum(one is None for one in read)
    least, low, high = _corrected(yes, len(read), sensitivity, specificity, confidence)
    most = _corrected(yes + unparsed, len(read), sensitivity, specificity, confidence)
    return Calibration(
        judged=len(verdicts),
        labelled=sum(label is not None for label in labels),
        unparsed=unparsed,
        sensitivity=sensitivity,
        specificity=specificity,
        apparent=yes / len(read),
        corrected=least,
        corrected_interval=Interval(min(low, most[1]), max(high, most[2])),
        agreement=_agreement(verdicts, labels, metric, confidence),
    )


def _both(one: object, label: bool | None, wanted: bool) -> bool:
    return one is not None and label is wanted


def _rate(hits: Sequence[bool]) -> Rate:
    if not hits:
        return Rate(0, 0, None, Interval(0.0, 1.0))
    return Rate(sum(hits), len(hits), sum(hits) / len(hits), clopper_pearson(sum(hits), len(hits)))


def _corrected(
    yes: int, n: int, sensitivity: Rate, specificity: Rate, confidence: float
) -> tuple[float | None, float, float]:
    """The corrected rate and the ends of its interval; an uninformative judge leaves [0, 1]."""
    value = None
    if sensitivity.value is not None and specificity.value is not None:
        informed = sensitivity.value + specificity.value - 1
        value = _clipped((yes / n + specificity.value - 1) / informed) if informed > 0 else None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    many, p = n + z * z, (yes + z * z / 2) / (n + z * z)
    (n_se, se), (n_sp, sp) = _with_two_more(sensitivity), _with_two_more(specificity)
    informed = se + sp - 1
    if informed <= 0 or not (sensitivity.n and specificity.n):
        return value, 0.0, 1.0
    centre = (p + sp - 1) / informed
    of_se, of_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * z * z * (centre * of_se - (1 - centre) * of_sp)
    variance = p * (1 - p) / many + centre**2 * of_se + (1 - centre) ** 2 * of_sp
    half = z * math.sqrt(variance) / informed
    return value, _clipped(centre + shift - half), _clipped(centre + shift + half)


def _with_two_more(rate: Rate) -> tuple[int, float]:
    """Trials and share with one success and one failure added."""
    return rate.n + 2, (rate.successes + 1) / (rate.n + 2)


def _clipped(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _agreement(
    verdicts: Sequence[Verdict], labels: Sequence[bool | None], metric: str | None, confidence: float
) -> Agreement | None:
    looked_at = [
        (verdict, Verdict("people", {"label": label}))
        for verdict, label in zip(verdicts, labels, strict=True)
        if label is not None
    ]
    if all(said(verdict, metric) is None for verdict, _ in looked_at):
        return None
    judge, people = zip(*looked_at, strict=True)
    return agreement(judge, people, (metric, "label") if metric else None, confidence)
