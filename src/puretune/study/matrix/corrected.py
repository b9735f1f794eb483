"""Differences corrected by people's labels: each condition by the errors that its scorer makes on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from puretune.errors import InputError
from puretune.files import checked_path
from puretune.scoring import Arm, CorrectedDifference, arms_of, corrected_difference, read_labelled
from puretune.study.matrix.matrix import Comparison
from puretune.study.matrix.run_directory import sound_file
from puretune.study.spec.analysis import CellName
from puretune.visible import one_line, visible


@dataclass(frozen=True)
class Corrected:
    """A comparison, and the same difference as people would find it."""

    comparison: Comparison
    found: CorrectedDifference
    """Its interval is for these training runs and new prompts: it has no variance between seeds in it."""
    labelled: tuple[int, int]
    """Labels of the condition, and of the reference."""


def corrected(run: Path, labels: Path, found: Sequence[Comparison]) -> list[Corrected]:
    """What people's labels make of the comparisons in the metric of the first one, on its suite.

    Only comparisons of which both cells have labels. InputError if there is none, or where a label does
    not fit a verdict of the run; CheckFailed if the run's verdicts were changed.
    """
    first = found[0]
    file = sound_file(checked_path(run, "run directory"), "verdicts.jsonl")
    given = read_labelled(file, labels, first.metric, first.scorer, first.suite)
    arms = {arm.name: arm for arm in arms_of(given) if _labelled(arm)}
    alike = [one for one in found if (one.suite, one.label) == (first.suite, first.label)]
    made = [_corrected(one, *sides) for one in alike if (sides := _sides(one, arms))]
    if not made:
        have = ", ".join(one_line(name) for name in arms)
        raise InputError(
            f"{visible(labels)}: no two conditions that are compared in {one_line(first.label)} on "
            f"{one_line(first.suite)} both have labels. Labelled: {have}. Label a random draw of each."
        )
    return made


def _sides(one: Comparison, arms: dict[str, Arm]) -> tuple[Arm, Arm] | None:
    names = CellName(one.condition, one.test_template), CellName(one.reference, one.reference_template)
    first, second = (arms.get(str(name)) for name in names)
    return None if first is None or second is None else (first, second)


def _corrected(one: Comparison, first: Arm, second: Arm) -> Corrected:
    found = corrected_difference(first, second, one.metric)
    return Corrected(one, found, (_labelled(first), _labelled(second)))


def _labelled(arm: Arm) -> int:
    return sum(label is not None for label in arm.labels)
