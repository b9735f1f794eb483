"""How people begin: a study written from a model and a data file, each choice with its reason; one tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.start._draft import Draft, draft, study_name
    from puretune.start._memory import MemoryNeeded, memory_needed
    from puretune.start._strategies import (
        StrategiesStudy,
        at_helpfulness,
        only,
        smaller,
        strategies_study,
    )
    from puretune.start._tune import tune_study

__all__ = [
    "Draft",
    "MemoryNeeded",
    "StrategiesStudy",
    "at_helpfulness",
    "draft",
    "memory_needed",
    "only",
    "smaller",
    "strategies_study",
    "study_name",
    "tune_study",
]

__getattr__ = lazy(__name__)
