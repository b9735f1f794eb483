"""What a comparison shows, in the same few words in every report and in the terminal."""

from __future__ import annotations

from puretune.report._number_words import listed, plural, points
from puretune.study import Comparison


def concluded(one: Comparison) -> str:
    """``lower``, ``higher``, ``equivalent within 5 points``, or ``cannot tell (n = 4; about 160 prompts
    would)``; the condition against the reference."""
    if one.conclusion == "equivalent":
        return f"equivalent within {100 * one.margin:g} points"
    if one.conclusion != "inconclusive":
        return one.conclusion
    needed = _needed(one)
    return f"cannot tell ({_size(one)}{f'; about {listed(needed)} would' if needed else ''})"


def p_value(one: Comparison) -> str:
    """``p = 0.033``, corrected where it was."""
    p = one.p if one.holm is None else one.holm
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def difference_lines(one: Comparison, width: int = 74) -> list[str]:
    """The difference with its interval, its p value and what it shows: on one line where that fits."""
    interval = f"({points(one.low)} to {points(one.high)})"
    figures, said = f"{points(one.difference):>6}  {interval}  {p_value(one)}", concluded(one)
    whole = f"{figures}  {said}"
    return [whole] if len(whole) <= width else [figures, f"  {said}"]


def _size(one: Comparison) -> str:
    runs = f"{plural(one.seeds, 'training run')}, " if one.seeds > 1 else ""
    return f"{runs}n = {one.prompts or one.n:,}"


def _needed(one: Comparison) -> list[str]:
    """What would find a difference of the margin with 80 % power, where that can be said."""
    needed = [f"{one.seeds_needed:,} seeds"] if one.seeds_needed else []
    factor = one.prompts_factor or 0.0
    if factor > 1 and "new categories" in one.estimand:
        needed.append(f"{factor:.1f} times as many categories")
    elif factor > 1:
        needed.append(f"{_rounded(factor * (one.prompts or one.n)):,} prompts")
    return needed


def _rounded(count: float) -> int:
    """Two leading digits: it is a figure for planning."""
    digits = max(len(str(int(count))) - 2, 0)
    return int(round(count, -digits))
