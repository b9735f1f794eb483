"""What a strategy adds to a study: conditions, templates, and which is tested under which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from puretune.study.spec.sections import TrainSection
from puretune.study.spec.study import Study
from puretune.templates import TemplateFields


@dataclass(frozen=True)
class Expansion:
    """A strategy spelled out for one study."""

    tests: tuple[tuple[str, str], ...]
    """(condition, template that it is tested under): what the strategy would serve."""
    conditions: tuple[TrainSection, ...] = ()
    """What is tuned; nothing for the untuned model."""
    templates: Mapping[str, TemplateFields] = field(default_factory=dict)
    """Templates that the study does not define itself."""
    curve: str = ""
    """If its conditions are one adapter at growing strengths, weakest first: their common name."""
    leakage: tuple[tuple[str, str], ...] = ()
    """The same for templates under which behaviour that was tuned in may come back."""


class Strategy(Protocol):
    """A way to fine-tune and serve: a frozen dataclass of its options."""

    def identity(self) -> Mapping[str, Any]:
        """Its options, as a report shows them."""

    def expand(self, study: Study) -> Expansion:
        """The strategy for a study's data, recipe and templates. Pure. InputError for options that do not
        fit the study."""
