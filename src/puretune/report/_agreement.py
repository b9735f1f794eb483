"""How far judges agree, as a table for any report."""

from __future__ import annotations

from puretune.report._number_words import percent
from puretune.study import JudgeAgreement, Matrix

HEAD = (
    *("suite", "first judge", "second judge", "answers", "agree, %", "kappa (95 % interval)"),
    *("both harmful", "only the first", "only the second", "neither", "unparsed"),
)
EXPLAINED = (
    "Every two judges on the same answers, over all cells of a suite: how many answers each calls harmful, "
    "and Cohen's kappa, their agreement beyond chance. Its interval is for new answers of the same kind. "
    "With rare attacks kappa can be low although judges hardly differ: read it with the counts."
)


def rows(matrix: Matrix) -> list[list[str]]:
    """One row per pair of judges, in the order of ``HEAD``."""
    return [_row(one) for one in matrix.agreements]


def lines(matrix: Matrix) -> list[str]:
    """The same in a sentence each, for a terminal."""
    return [
        f"{one.first} and {one.second} on {one.suite}: they agree on {percent(_agree(one))} % of "
        f"{one.n:,} answers, kappa {_kappa(one)}."
        for one in matrix.agreements
    ]


def _row(one: JudgeAgreement) -> list[str]:
    counts = (one.both, one.first_only, one.second_only, one.neither, one.unparsed)
    shown = [one.suite, one.first, one.second, f"{one.n:,}", percent(_agree(one)), _kappa(one)]
    return [*shown, *(f"{count:,}" for count in counts)]


def _agree(one: JudgeAgreement) -> float:
    return (one.both + one.neither) / one.n


def _kappa(one: JudgeAgreement) -> str:
    return "none" if one.kappa is None else f"{one.kappa:.2f} ({one.low:.2f} to {one.high:.2f})"
