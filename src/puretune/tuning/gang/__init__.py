"""Gang tuning: many adapters on one pass over the frozen base, each as if it were trained alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.tuning.gang._options import GangOptions
    from puretune.tuning.gang._tuner import GangTuner

__all__ = ["GangOptions", "GangTuner"]

__getattr__ = lazy(__name__)
