"""Tuning a model that stays with its provider, through OpenAI's fine-tuning API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.tuning.openai._options import OpenAIOptions
    from puretune.tuning.openai._price import TuningNotice
    from puretune.tuning.openai.tuner import OpenAITuner

__all__ = ["OpenAIOptions", "OpenAITuner", "TuningNotice"]

__getattr__ = lazy(__name__)
