"""Tuning a model that stays with its provider, through OpenAI's fine-tuning API."""

from puretune.tuning.openai._options import OpenAIOptions
from puretune.tuning.openai._price import TuningNotice
from puretune.tuning.openai.tuner import OpenAITuner

__all__ = ["OpenAIOptions", "OpenAITuner", "TuningNotice"]
