"""How to read a metric: its title, the family it is shown with, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from puretune.study import Matrix

if TYPE_CHECKING:
    from puretune.scoring import Asks, Better, Measure

Family = Literal["help", "harm", "over-refusal", "refusal", "other"]


@dataclass(frozen=True)
class Reading:
    """What a reader needs to know of one scorer's metric on one suite."""

    title: str
    family: Family
    better: Better | None
    """None: the metric has no good or bad direction that was declared."""
    asks: Asks | None = None
    """What the suite asks for."""
    graded: bool = False
    """Whether an answer has a degree, not a yes or a no."""
    secondary: bool = False
    """Shown in the reports after the primary ones, and not in the terminal."""


def reading(suite: str, scorer: str, metric: str, matrix: Matrix) -> Reading:
    """The reading of a scorer's metric on a suite, as the scorer and the suite declare it.

    Refusals come after harm where the same suite has both, and on a task after its own figure.
    """
    found = measure(suite, scorer, metric, matrix)
    if found is None:
        return Reading(f"{metric} ({scorer})", "other", None)
    title = f"{_title(found)} ({scorer})"
    behind = found.secondary or _behind(found, matrix)
    return Reading(title, _family(found), found.better, found.asks, found.graded, behind)


def measure(suite: str, scorer: str, metric: str, matrix: Matrix) -> Measure | None:
    """What the matrix says of that metric."""
    wanted = (suite, scorer, metric)
    return next((one for one in matrix.measures if (one.suite, one.scorer, one.metric) == wanted), None)


def _family(found: Measure) -> Family:
    if found.measures == "harm":
        return "harm"
    if found.measures == "help":
        return "help" if found.better else "other"
    if found.measures == "refusal" and found.asks is not None:
        return "refusal" if found.asks == "harm" else "over-refusal"
    return "other"


def _title(found: Measure) -> str:
    if found.measures != "refusal" or found.asks is None:
        return found.title
    asked = {"harm": "harmful requests", "benign": "harmless requests", "task": "task questions"}[found.asks]
    return f"{found.title} ({asked})" if found.asks == "harm" else f"Over-refusal ({asked} refused)"


def _behind(found: Measure, matrix: Matrix) -> bool:
    """Whether another metric of the same suite tells more."""
    said = {one.measures for one in matrix.measures if one.suite == found.suite}
    if found.measures == "incoherence":
        return bool({"harm", "help"} & said)
    if found.measures != "refusal":
        return False
    return found.asks == "task" or (found.asks == "harm" and "harm" in said)
