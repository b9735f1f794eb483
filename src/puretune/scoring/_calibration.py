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
    """A share with its interval; None if nothing could be counted (the interval is then [0, 1])."""

    successes: float
    """A whole number where every prompt has one answer, else the sum of the prompts' means."""
    n: int
    """Answers, or prompts where some have several."""
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
    """The rate that people would find, by Rogan and Gladen, in [0, 1]; None if the judge says yes no more
    often of people's yes than of their no."""
    corrected_interval: Interval
    """For new answers of the same kind; unparsed verdicts widen it to what they could have been."""
    agreement: Agreement | None
    """Judge (rows) and people (columns) on the labelled answers; None if no labelled verdict can be
    read."""


def calibrate(
    verdicts: Sequence[Verdict],
    labels: Sequence[bool | None],
    metric: str | None = None,
    confidence: float = 0.95,
    prompts: Sequence[str] | None = None,
) -> Calibration:
    """Sensitivity, specificity and the corrected rate, from labels of some of the judged answers.

    ``labels`` are in the verdicts' order, None if people have not looked. ``prompts`` says which answers
    are to the same prompt; these are one draw together, their mean. Every interval has ``confidence``. The
    labelled answers must be drawn at random from the judged ones: labels of the doubtful cases only make the
    judge look worse than it is. InputError without labels.

    Source: Rogan & Gladen (1978), Am. J. Epidemiol. 107:71-76; interval by Lang & Reiczigel (2014), Prev.
    Vet. Med. 113:13-22, which takes the uncertainty of sensitivity and specificity in.
    """
    if len(verdicts) != len(labels):
        raise InputError(f"{len(verdicts)} verdicts and {len(labels)} labels: give one label (or None) each.")
    if all(label is None for label in labels):
        raise InputError("no answer has a label. Label some of them first.")
    drawn = [str(number) for number in range(len(verdicts))] if prompts is None else list(prompts)
    read = [said(verdict, metric) for verdict in verdicts]
    rows = list(zip(read, labels, drawn, strict=True))
    sensitivity, specificity = (
        _rate(
            [(one is wanted, at) for one, label, at in rows if one is not None and label is wanted],
            confidence,
        )
        for wanted in (True, False)
    )
    unparsed = sum(one is None for one in read)
    yes, many = _by_prompt([(one is True, at) for one, _, at in rows])
    most, _ = _by_prompt([(one is not False, at) for one, _, at in rows])
    value, low, high = _corrected(yes, many, sensitivity, specificity, confidence)
    _, low_most, high_most = _corrected(most, many, sensitivity, specificity, confidence)
    return Calibration(
        judged=len(verdicts),
        labelled=sum(label is not None for label in labels),
        unparsed=unparsed,
        sensitivity=sensitivity,
        specificity=specificity,
        apparent=yes / many,
        corrected=value,
        corrected_interval=Interval(min(low, low_most), max(high, high_most)),
        agreement=_agreement(verdicts, labels, metric, confidence, drawn),
    )


def _by_prompt(hits: Sequence[tuple[bool, str]]) -> tuple[float, int]:
    """Successes and draws where the answers to one prompt are one draw, their mean."""
    shares: dict[str, list[bool]] = {}
    for hit, prompt in hits:
        shares.setdefault(prompt, []).append(hit)
    return math.fsum(sum(found) / len(found) for found in shares.values()), len(shares)


def _rate(hits: Sequence[tuple[bool, str]], confidence: float) -> Rate:
    if not hits:
        return Rate(0, 0, None, Interval(0.0, 1.0))
    successes, n = _by_prompt(hits)
    low = clopper_pearson(math.floor(successes + 1e-9), n, confidence).low
    high = clopper_pearson(math.ceil(successes - 1e-9), n, confidence).high
    return Rate(successes, n, successes / n, Interval(low, high))


def _corrected(
    yes: float, n: int, sensitivity: Rate, specificity: Rate, confidence: float
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
    verdicts: Sequence[Verdict],
    labels: Sequence[bool | None],
    metric: str | None,
    confidence: float,
    prompts: Sequence[str],
) -> Agreement | None:
    looked_at = [
        (verdict, Verdict("people", {"label": label}), prompt)
        for verdict, label, prompt in zip(verdicts, labels, prompts, strict=True)
        if label is not None
    ]
    if all(said(verdict, metric) is None for verdict, _, _ in looked_at):
        return None
    judge, people, drawn = zip(*looked_at, strict=True)
    return agreement(judge, people, (metric, "label") if metric else None, confidence, drawn)
