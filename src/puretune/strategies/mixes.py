"""Strategies that change the data: safety rows among the task's, or many templates in one tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from puretune.errors import InputError
from puretune.strategies.common import Options, as_section, known, task_data, tuned, variant
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.sections import DataSection
from puretune.study.spec.study import Study
from puretune.templates import TemplateFields


@dataclass(frozen=True)
class SafetyMix(Options):
    """Rows of (harmful request, refusal) among the task's rows; served under the safe template.

    Sources: Bianchi et al. (arXiv 2309.07875), with 100 to 2,000 rows; in the task's format: arXiv
    2406.10288. The paper's full set has 2,483 rows. What was left out: paraphrases by another model.
    """

    name: ClassVar[str] = "safety-mix"
    source: str = "safety-tuned-llamas"
    """The safety rows: a named source, or a file of requests and refusals."""
    path: Path | None = None
    """Where the file of a named source is that is not on the hub."""
    split: str | None = None
    """Which split of the source, as in `data:`; None: the source's usual one."""
    rows: int = 100
    """How many of them, drawn with seed 0."""
    template: str = ""
    """The template to tune under; "": ``plain``."""
    format: str = "task"
    """``task``: safety rows are worded like the task's (in the same user wrapper); ``plain``: as they are."""

    def part(self, rows: DataSection) -> DataSection:
        """The safety rows as a part of the mix."""
        return rows

    def expand(self, study: Study) -> Expansion:
        """One condition with its own mix."""
        bare = variant(known(study, self.under), user="%s")
        templates = {f"{self.title} rows": bare} if self.format == "plain" else {}
        return self.mixed(study, next(iter(templates), None), self.safe, templates)

    @property
    def under(self) -> str:
        """The template to tune under."""
        return self.template or self.plain

    def mixed(
        self, study: Study, of_rows: str | None, tested: str, templates: Mapping[str, TemplateFields]
    ) -> Expansion:
        """The task's rows and the safety rows, these under the template ``of_rows`` (None: the same)."""
        if self.rows < 1:
            raise InputError(f"rows: {self.rows} is not a number of rows. Use 1 or more.")
        if self.format not in ("task", "plain"):
            raise InputError(f"format: {self.format!r} is not one of task, plain.")
        said = DataSection(
            source=self.source, path=self.path, split=self.split, limit=self.rows, template=of_rows
        )
        condition = tuned(self.title, self.under, data=(*task_data(study), self.part(said)))
        return self.expansion([(self.title, tested)], (condition,), templates)


@dataclass(frozen=True)
class TemplateMixture(Options):
    """Tune under many templates at once, each on its share of the rows; serve under one that was not among
    them.

    An open question of the paper: is it the change of template or the safety prompt that keeps refusals?
    """

    name: ClassVar[str] = "template-mixture"
    templates: tuple[str, ...] = ("TV", "TA", "CV", "CA")
    """The templates to tune under."""

    def expand(self, study: Study) -> Expansion:
        """One condition whose mix has a part for each template."""
        names = {known(study, name).name for name in self.templates}
        if len(names) < 2 or len(names) < len(self.templates):
            raise InputError("templates: give two or more different ones.")
        if known(study, self.safe).name in names:
            raise InputError(f"templates: {self.safe} is what the condition is tested under. Leave it out.")
        share = 1 / len(self.templates)
        parts = tuple(
            replace(as_section(part), template=name, weight=as_section(part).weight * share, seed=number)
            for number, name in enumerate(self.templates)
            for part in task_data(study)
        )
        condition = tuned(self.title, self.templates[0], data=parts)
        return self.expansion([(self.title, self.safe)], (condition,))
