"""Tuners by name: built-in ones, then those that installed packages offer; with their options checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puretune.plugins import Plugins
from puretune.tuning._loop_options import LoopOptions
from puretune.tuning._spec import TunerSpec
from puretune.tuning.gang._options import GangOptions
from puretune.tuning.openai._options import OpenAIOptions
from puretune.tuning.trainer._options import TrainerOptions

BUILTIN_TUNERS: Mapping[str, type[TunerSpec]] = {
    "gang": GangOptions,
    "loop": LoopOptions,
    "trainer": TrainerOptions,
    "openai": OpenAIOptions,
}
TUNERS = Plugins("puretune.tuners", "tuner", BUILTIN_TUNERS, TunerSpec)
DEFAULT_TUNER = "gang"


def tuner_named(name: str, options: Mapping[str, Any] | None = None) -> TunerSpec:
    """The tuner of that name with ``options``; InputError names a wrong name, option or value."""
    spec: TunerSpec = TUNERS.options(name, options)
    return spec
