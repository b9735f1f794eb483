"""Strategies at the same helpfulness, as a table: best first, each against the first and the reference."""

from __future__ import annotations

from puretune.study import Matched, RankedStrategy, Ranking

HEAD = ("strategy", "helpful", "harmful", "at the level", "minus the first", "standing")
REFERENCE_HEAD = ("strategy", "minus {}", "helpful", "as trained")


def caption(ranking: Ranking) -> str:
    """What the columns are."""
    level = f"{100 * ranking.level:.1f} %"
    return (
        f"In %. Helpful: {ranking.helpfulness}; harmful: {ranking.harm}; both at the end of tuning. At the "
        f"level: harmful at {level} helpfulness, interpolated along each strategy's kept steps or strengths, "
        f"never extrapolated. Minus {ranking.reference}: at the highest helpfulness that both reach. As "
        "trained: harmful under the template that it was tuned under. Differences are in points, with "
        "intervals that hold for all of a column at once."
    )


def rows(ranking: Ranking) -> list[list[str]]:
    """One row for each strategy: where it ends, where it is at the level, and how it stands."""
    return [
        [
            one.name,
            _percent(one.end_helpfulness),
            _percent(one.end_harm),
            _percent(one.harm),
            _difference(one.against_first),
            one.standing,
        ]
        for one in ranking.strategies
    ]


def reference_head(ranking: Ranking) -> list[str]:
    """The columns of ``reference_rows``."""
    return [column.format(ranking.reference) for column in REFERENCE_HEAD]


def reference_rows(ranking: Ranking) -> list[list[str]]:
    """One row for each strategy: against the reference where both are as helpful, and where it leaks."""
    return [_reference_row(one, ranking) for one in ranking.strategies]


def _reference_row(one: RankedStrategy, ranking: Ranking) -> list[str]:
    found = one.against_reference
    if one.name == ranking.reference:
        said, level = "the reference", "-"
    else:
        said = _difference(found) if found else "no common helpfulness"
        level = _percent(found.level) if found else "-"
    return [one.name, said, level, _percent(one.leak)]


def _difference(found: Matched | None) -> str:
    if found is None:
        return "-"
    return f"{100 * found.difference:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"
