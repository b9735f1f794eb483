"""Judges err differently by arm: one that is tuned to one model's refusals misses another's.

Where people have labelled answers of both arms, each arm is corrected by its own sensitivity and specificity,
and the difference is between what people would find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from puretune.errors import InputError
from puretune.scoring._calibration import Calibration, calibrate
from puretune.scoring._labels import Labelled
from puretune.scoring._types import Verdict
from puretune.statistics import Interval


@dataclass(frozen=True)
class Arm:
    """The verdicts of one arm, with people's labels of some of them."""

    name: str
    verdicts: Sequence[Verdict]
    labels: Sequence[bool | None]
    prompts: Sequence[str]
    """Answers to the same prompt are one draw together."""


@dataclass(frozen=True)
class CorrectedDifference:
    """The first arm's rate minus the second's."""

    first: str
    second: str
    apparent: float
    """By the judge's verdicts as they are; unparsed ones count as no."""
    corrected: float | None
    """By what people would find; None if the judge tells people's yes from no in one arm only."""
    interval: Interval
    """Of the corrected difference, for new prompts from the same source."""


def arms_of(labelled: Labelled) -> list[Arm]:
    """The arms of a file, in its order."""
    rows = list(zip(labelled.arms, labelled.verdicts, labelled.labels, labelled.prompts, strict=True))
    return [
        Arm(
            name,
            [verdict for arm, verdict, _, _ in rows if arm == name],
            [label for arm, _, label, _ in rows if arm == name],
            [prompt for arm, _, _, prompt in rows if arm == name],
        )
        for name in dict.fromkeys(labelled.arms)
    ]


def calibrate_arm(arm: Arm, metric: str | None = None, confidence: float = 0.95) -> Calibration:
    """:func:`calibrate` of one arm; InputError names an arm without a label."""
    if all(label is None for label in arm.labels):
        raise InputError(f"{arm.name or 'these answers'}: no answer has a label. Label some of every arm.")
    return calibrate(arm.verdicts, arm.labels, metric, confidence, arm.prompts)


def corrected_difference(
    first: Arm, second: Arm, metric: str | None = None, confidence: float = 0.95
) -> CorrectedDifference:
    """What people would find of the first arm minus what they would find of the second.

    Each arm's rate is Rogan and Gladen's, with Lang and Reiczigel's interval, prompt by prompt; the two
    intervals are combined by square and add. Arms that are asked the same prompts vary together, so the
    interval is then rather too long than too short. InputError if an arm has no label.

    Source: Newcombe (1998), Stat. Med. 17:873-890; Zou & Donner (2008), Stat. Med. 27:1693-1702.
    """
    a, b = (calibrate_arm(arm, metric, confidence) for arm in (first, second))
    apparent = a.apparent - b.apparent
    if a.corrected is None or b.corrected is None:
        return CorrectedDifference(first.name, second.name, apparent, None, Interval(-1.0, 1.0))
    value = a.corrected - b.corrected
    low = value - math.hypot(_below(a), _above(b))
    high = value + math.hypot(_above(a), _below(b))
    interval = Interval(max(low, -1.0), min(high, 1.0))
    return CorrectedDifference(first.name, second.name, apparent, value, interval)


def _below(one: Calibration) -> float:
    return max((one.corrected or 0.0) - one.corrected_interval.low, 0.0)


def _above(one: Calibration) -> float:
    return max(one.corrected_interval.high - (one.corrected or 0.0), 0.0)
