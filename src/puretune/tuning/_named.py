"""Tuners by name: built-in ones, then those that installed packages offer; with their options checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from puretune.endpoints import Consent, loopback_only
from puretune.models import BaseModel, LazyBase
from puretune.options import validated
from puretune.plugins import Plugins
from puretune.tuning._types import Tuner
from puretune.tuning.gang import GangTuner
from puretune.tuning.loop import LoopTuner
from puretune.tuning.openai import OpenAITuner
from puretune.tuning.trainer import TrainerTuner


class TunerOptions(Protocol):
    """A frozen dataclass of a tuner's own settings, each with a default."""

    def inputs(self) -> Mapping[str, Any]:
        """Those of them that can change a trained weight, as JSON values: they are part of every key."""
        ...


class TunerFactory(Protocol):
    """A tuner's class, or anything that is called like one."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def Options(self) -> type[TunerOptions]: ...

    def __call__(self, *arguments: Any, **none: Any) -> Any:
        """The tuner for a base model, options and, where its attribute ``remote`` is true, a consent."""
        ...


BUILTIN_TUNERS: Mapping[str, TunerFactory] = {
    "gang": GangTuner,
    "loop": LoopTuner,
    "trainer": TrainerTuner,
    "openai": OpenAITuner,
}
TUNERS = Plugins("puretune.tuners", "tuner", BUILTIN_TUNERS, TunerFactory)
DEFAULT_TUNER = "gang"


@dataclass(frozen=True)
class ChosenTuner:
    """A tuner and its options, chosen before there is a model to tune."""

    factory: TunerFactory
    options: TunerOptions

    @property
    def name(self) -> str:
        return self.factory.name

    def identity(self) -> list[Any]:
        """What a key says about the tuner: name, version and, if there are any, the options."""
        inputs = dict(self.options.inputs())
        return [self.factory.name, self.factory.version, *([inputs] if inputs else [])]

    @property
    def remote(self) -> bool:
        """Whether it tunes models that stay with their provider."""
        return bool(getattr(self.factory, "remote", False))

    def on(self, base: BaseModel | LazyBase, consent: Consent = loopback_only) -> Tuner:
        """The tuner for a base model. ``consent`` is asked before anything is sent elsewhere."""
        if self.remote:
            remote: Tuner = self.factory(base, self.options, consent)
            return remote
        local: Tuner = self.factory(base.base if isinstance(base, LazyBase) else base, self.options)
        return local


def tuner_named(name: str, options: Mapping[str, Any] | None = None) -> ChosenTuner:
    """The tuner of that name with ``options``; InputError names a wrong name, option or value."""
    factory = TUNERS.load(name)
    return ChosenTuner(factory, _options(factory, options or {}))


def _options(factory: TunerFactory, given: Mapping[str, Any]) -> TunerOptions:
    return validated(factory.Options, given, f"tuner {factory.name!r}")
