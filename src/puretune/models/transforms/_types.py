"""The shape of a transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from puretune.models._lazy_base import LazyBase
    from puretune.models.transforms.low_rank import LowRank

Change = Callable[..., "LowRank"]
"""(the adapter, one more for each of the transform's ``others``) -> the adapter that takes its place."""


class Transform(Protocol):
    """A frozen dataclass with a transform's options as its fields."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def others(self) -> tuple[str, ...]:
        """Further adapters that it takes: names of conditions, or directories in PEFT format."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """What a key says about it: name, version, options. The others' keys are not its to say."""
        ...

    def open(self, base: LazyBase) -> Change:
        """The function from adapter to adapter; ``base`` is loaded only by those that look at its weights."""
        ...
