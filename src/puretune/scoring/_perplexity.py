"""The untuned base as a measure of text: how little it expects an answer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from puretune.inference import LikelihoodEngine, LikelihoodRequest, LocalSpec
from puretune.models import BaseModel, LazyBase, ModelSpec, free_memory
from puretune.templates import Message, PromptTemplate, Renderer

_PLAIN = PromptTemplate("plain", mode="text", user="%s")
_TOKENS = 512


class Meter(Protocol):
    """Measures texts; ``identity`` is what decides its numbers."""

    @property
    def identity(self) -> list[Any]: ...

    def measure(self, texts: Sequence[str]) -> list[float | None]: ...

    def release(self) -> None:
        """Let go what it has loaded itself."""
        ...


@dataclass(frozen=True)
class PerplexityMeter:
    """The untuned base as a measure of text: perplexity per token of a text alone, first token given."""

    engine: LikelihoodEngine
    renderer: Renderer
    fingerprint: str
    """The base's fingerprint."""
    tokens: int = 512
    """How many of a text's first tokens are measured; the base's context must hold them."""

    @property
    def identity(self) -> list[Any]:
        """What decides a perplexity."""
        return [self.fingerprint, self.engine.version, self.tokens]

    def measure(self, texts: Sequence[str]) -> list[float | None]:
        """One perplexity per text; None if a text is one token long, or the base gives no number."""
        requests = []
        for place, text in enumerate(texts):
            ids = self._ids(text)
            if len(ids) > 1:
                requests.append(LikelihoodRequest(str(place), ids[:1], ids[1:]))
        found: list[float | None] = [None] * len(texts)
        for likelihood in self.engine.loglikelihood(requests, lambda event: None):
            mean = -likelihood.total / len(likelihood.logprobs)
            found[int(likelihood.key)] = math.exp(min(mean, 700.0)) if math.isfinite(mean) else None
        return found

    def release(self) -> None:
        """The base is whoever's loaded it."""

    def _ids(self, text: str) -> tuple[int, ...]:
        clean = _encodable(text)[: self.tokens * 64]
        return self.renderer.prompt(_PLAIN, [Message("user", clean)]).ids[: self.tokens] if clean else ()


@dataclass(frozen=True)
class LazyMeter:
    """The meter of a base model that is loaded when the first text is measured."""

    spec: ModelSpec
    fingerprint: str

    @property
    def identity(self) -> list[Any]:
        """As that of the meter it makes, where the base's context holds as many tokens."""
        return [self.fingerprint, LocalSpec.version, _TOKENS]

    def measure(self, texts: Sequence[str]) -> list[float | None]:
        """See :meth:`PerplexityMeter.measure`."""
        return self._meter.measure(texts)

    def release(self) -> None:
        """Let the base's weights go; they are loaded again when they are needed."""
        if self.__dict__.pop("_meter", None) is not None:
            free_memory()

    @cached_property
    def _meter(self) -> PerplexityMeter:
        return perplexity_meter(LazyBase(self.spec).base)


def perplexity_meter(base: BaseModel, tokens: int = _TOKENS) -> PerplexityMeter:
    """The meter of an untuned base model in memory."""
    return PerplexityMeter(
        LocalSpec().on(base), base.renderer, base.fingerprint, min(tokens, base.context_length)
    )


def _encodable(text: str) -> str:
    """Text that any tokenizer takes: no half characters, no noncharacters."""
    return re.sub("[\ufdd0-\ufdef]", "", text.encode("utf-8", "replace").decode("utf-8"))
