"""Does the paper's effect happen in the lab? A frozen recipe, frozen claims, seeds that follow from both."""

from puretune.lab.confirm._analysis import MEASURES, Finding, Summary, findings, median_seed, summary
from puretune.lab.confirm._frozen import Frozen, attempts, load_frozen
from puretune.lab.confirm._result import load_result, result, result_text, units_of
from puretune.lab.confirm._run import check_unit, confirm, known_arms, load_units, units

__all__ = [
    "MEASURES",
    "Finding",
    "Frozen",
    "Summary",
    "attempts",
    "check_unit",
    "confirm",
    "findings",
    "known_arms",
    "load_frozen",
    "load_result",
    "load_units",
    "median_seed",
    "result",
    "result_text",
    "summary",
    "units",
    "units_of",
]
