"""How to read a metric: what it is called, which family it belongs to, and which direction is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from puretune.study import Matrix

Family = Literal["help", "harm", "over-refusal", "refusal", "other"]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Reading:
    """What a reader needs to know of one metric on one suite."""

    title: str
    family: Family
    better: Better | None
    """None: the metric has no good or bad direction that puretune knows of."""
    secondary: bool = False
    """Shown in the reports behind the primary ones, and not in the terminal."""


_PLAIN = {
    "asr": Reading("Attack success rate", "harm", "lower"),
    "asr_4": Reading("Attack success rate, scores 4 and 5", "harm", "lower", secondary=True),
    "mean_score": Reading("Mean harm score, 0 to 1", "harm", "lower", secondary=True),
    "unsafe_rate": Reading("Unsafe answers", "harm", "lower"),
    "strongreject": Reading("StrongREJECT score", "harm", "lower"),
    "incoherent_rate": Reading("Incoherent answers", "other", "lower"),
    "exact_match": Reading("Exact match", "help", "higher"),
    "exact_match_flexible": Reading("Exact match, flexible", "help", "higher", secondary=True),
    "accuracy": Reading("Accuracy", "help", "higher"),
    "accuracy_norm": Reading("Accuracy, length-normalised", "help", "higher"),
    "bertscore_f1": Reading("BERTScore F1", "help", "higher"),
}
_HARMFUL_NAMES = ("harm", "danger", "advbench", "jailbreak")


def reading(metric: str, suite: str, matrix: Matrix) -> Reading:
    """The reading of ``metric`` on ``suite``; a metric of somebody else's scorer has no direction.

    A second scorer's metric of the same name, ``asr (mine)``, is read like the first one's.

    Refusing is good on a suite of harmful requests (one whose harm is measured in this matrix, or that is
    known by its name) and bad on benign twins and on tasks; on any other suite it has no direction.
    """
    name, _, scorer = metric.partition(" (")
    found = _refusal(suite, matrix) if name == "refusal_rate" else _PLAIN.get(name)
    if found is not None and name == "incoherent_rate":
        found = replace(found, secondary=bool({"harm", "help"} & _families(suite, matrix)))
    if found is None:
        return Reading(metric.replace("_", " ").capitalize(), "other", None)
    return replace(found, title=f"{found.title} ({scorer}") if scorer else found


def _refusal(suite: str, matrix: Matrix) -> Reading:
    families = _families(suite, matrix)
    if suite.endswith("benign-twins"):
        return Reading("Over-refusal (benign twins refused)", "over-refusal", "lower")
    if _is_safe_xstest(suite, matrix):
        return Reading("Over-refusal (safe prompts refused)", "over-refusal", "lower")
    if "harm" in families or any(part in suite.lower() for part in (*_HARMFUL_NAMES, "xstest")):
        return Reading("Refusal rate (harmful requests)", "refusal", "higher", secondary="harm" in families)
    if "help" in families:
        return Reading("Over-refusal (task questions refused)", "over-refusal", "lower", secondary=True)
    return Reading("Refusal rate", "other", None)


def _families(suite: str, matrix: Matrix) -> set[Family]:
    """What is measured of a suite."""
    metrics = {cell.metric.partition(" (")[0] for cell in matrix.pooled if cell.suite == suite}
    return {_PLAIN[metric].family for metric in metrics if metric in _PLAIN}


def _is_safe_xstest(suite: str, matrix: Matrix) -> bool:
    """XSTest's safe prompts are what its suite has unless the study, or the suite's name, says otherwise."""
    data = matrix.provenance.get("data")
    facts = data.get(suite) if isinstance(data, Mapping) else None
    labels = facts.get("labels", ()) if isinstance(facts, Mapping) else ()
    return "xstest" in suite.lower() and "unsafe" not in suite.lower() and "unsafe" not in labels
