"""What to serve, in words: the recommendation of a matrix, what every alternative costs, what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from puretune.report._number_words import listed, points
from puretune.study import Alternative, Comparison, Recommendation

SHOWN = 8
"""Alternatives in the terminal; ``--json`` has all."""


def recommended(found: Recommendation) -> str:
    """The recommendation in a sentence or two; ASCII but for the names in it."""
    if found.condition is None:
        return f"Cannot tell what to serve: {found.reason}."
    pair = f"{found.condition} under {found.test_template}"
    said = f"Serve {pair}" if found.state == "shown" else f"Cannot tell; the best candidate is {pair}"
    return f"{said}: {found.reason}.{_needed(found)}{_same(found)}"


def recommendation_lines(found: Recommendation) -> Iterator[str]:
    """The recommendation, the price of tuning, and every alternative with what it costs."""
    yield recommended(found)
    if found.against_untuned:
        yield ""
        yield f"Against the untuned model under {found.test_template} (points, 95 % interval):"
        yield from map(_figure, found.against_untuned)
    if found.alternatives:
        yield ""
        yield "What the alternatives cost (points against it, 95 % interval; p corrected):"
    for one in found.alternatives[:SHOWN]:
        yield f"  {one.condition} -> {one.test_template}: {_verdict(one)}"
        yield from map(_figure, one.costs)
    if len(found.alternatives) > SHOWN:
        yield f"  and {len(found.alternatives) - SHOWN:,} more (--json has all)"


def _needed(found: Recommendation) -> str:
    needs = [f"{found.seeds_needed:,} seeds"] if found.seeds_needed else []
    needs += [f"{found.prompts_needed:,} prompts"] if found.prompts_needed else []
    return f" To find a difference of the margin: about {listed(needs)}." if needs else ""


def _same(found: Recommendation) -> str:
    warning = " Note that it was tuned under that same template, which is what costs safety."
    return warning if found.as_trained else ""


def _verdict(one: Alternative) -> str:
    safety = {"open": "cannot tell whether it is as safe"}.get(one.safety, one.safety)
    return safety if one.keeps_help else f"{safety}; less helpful"


def _figure(one: Comparison) -> str:
    interval = f"({points(one.low)} to {points(one.high)})"
    return f"    {points(one.difference):>6} {interval:18} {one.label} on {one.suite}: {one.conclusion}"
