"""How a study's numbers are analysed: the planned comparisons, the margin, what the intervals are about.

analysis:
  contrast: CL -> CL minus CV -> CL     # cell minus cell; by default the same template minus PTST
  margin: 0.05                          # differences up to 5 points are of no interest
  seed_sd: 0.04                         # assumed between training runs if there is one seed
  categories: sampled                   # intervals for new categories; by default for these
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from puretune.errors import InputError
from puretune.statistics import Categories
from puretune.study.spec.bounds import Share
from puretune.visible import quoted

MARGIN = 0.05


class AnalysisSection(BaseModel):
    """How differences and intervals are judged. None of it changes what is trained, answered or scored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    contrast: str | tuple[str, ...] = ()
    """The planned comparison, ``CONDITION -> TEMPLATE minus CONDITION -> TEMPLATE``, or several; left out:
    tuning and testing under one safety template minus PTST. It is tested on the first suite of harmful
    requests (of all suites, where none asks for harm); everything else is exploratory."""
    margin: Annotated[Share, Field(gt=0, lt=1)] = MARGIN
    """Differences up to this size (0.05 is 5 percentage points) count as equivalent."""
    seed_sd: Annotated[Share, Field(le=0.5)] | None = None
    """An assumed standard deviation between training runs (0.05 is 5 points), for conditions with one
    seed."""
    helpfulness: Share | None = None
    """The helpfulness at which strategies are ranked (0.8 is 80 %); left out: nine tenths of the way from the
    untuned model to tuning and testing under the safety prompt."""
    categories: Categories = "fixed"
    """``fixed``: intervals are for these categories of prompts; ``sampled``: for new ones."""


@dataclass(frozen=True)
class Analysis:
    """What intervals and comparisons need to be told; the fields are those of the section."""

    margin: float = MARGIN
    seed_sd: float | None = None
    population: Categories = "fixed"

    @classmethod
    def of(cls, section: AnalysisSection) -> Analysis:
        """What a study says."""
        return cls(section.margin, section.seed_sd, section.categories)


PLAIN = Analysis()


class CellName(NamedTuple):
    """A condition under a test template."""

    condition: str
    test_template: str

    def __str__(self) -> str:
        return f"{self.condition} -> {self.test_template}"


class Contrast(NamedTuple):
    """One cell minus another."""

    first: CellName
    second: CellName

    def __str__(self) -> str:
        return f"{self.first} minus {self.second}"


def contrasts_of(section: AnalysisSection) -> tuple[Contrast, ...]:
    """The contrasts that a study names, with names as it writes them; InputError for another form."""
    said = (section.contrast,) if isinstance(section.contrast, str) else section.contrast
    return tuple(_contrast(text) for text in said)


def _contrast(text: str) -> Contrast:
    sides = text.split(" minus ")
    if len(sides) != 2:
        raise InputError(
            f"contrast {quoted(text)}: write `CONDITION -> TEMPLATE minus CONDITION -> TEMPLATE`."
        )
    first, second = (_cell(side, text) for side in sides)
    if first == second:
        raise InputError(f"contrast {quoted(text)}: both sides are the same cell. Name two cells.")
    return Contrast(first, second)


def _cell(side: str, text: str) -> CellName:
    condition, arrow, template = (part.strip() for part in side.partition("->"))
    if not (condition and arrow and template):
        raise InputError(f"contrast {quoted(text)}: {quoted(side)} is not `CONDITION -> TEMPLATE`.")
    return CellName(condition, template)
