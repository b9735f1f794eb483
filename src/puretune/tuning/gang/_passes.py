"""The gradient of one optimiser step of a gang: how it is cut into passes, and what each pass computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from puretune import memory
from puretune.errors import EnvironmentFault
from puretune.models import BaseModel
from puretune.tuning._memory import free
from puretune.tuning._rows import Row
from puretune.tuning.gang._hooked import AloneRoute, CannotShare, HookedRoute, can_hook
from puretune.tuning.gang._options import GangOptions
from puretune.tuning.gang._packed import PackedRoute, can_pack
from puretune.tuning.gang._packing import Part
from puretune.tuning.gang._stack import Leaves, Stack

_CPU_BYTES = 4 * 2**30
_OF_A_GPU = 0.7


class Route(Protocol):
    """A way to compute the losses of some adapters' rows."""

    together: bool
    """Whether several adapters fit into one pass."""

    def losses(self, parts: Sequence[Part], leaves: Leaves, recompute: bool) -> Tensor: ...


@dataclass(frozen=True)
class Limits:
    """How much one pass may hold."""

    adapters: int
    rows: int
    """Of each adapter."""
    recompute: bool

    def tighter(self) -> Limits | None:
        """The next smaller pass to try when memory has run out; None: there is none."""
        if self.adapters > 1:
            return replace(self, adapters=(self.adapters + 1) // 2)
        if self.rows > 1:
            return replace(self, rows=(self.rows + 1) // 2)
        return None if self.recompute else replace(self, recompute=True)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        again = ", computing activations twice" if self.recompute else ""
        return f"adapters x rows per pass: {self.adapters} x {self.rows}{again}"


class Passes:
    """Computes gradients; remembers which route and which size of a pass have worked.

    ``say`` is told when memory has run out.
    """

    def __init__(self, base: BaseModel, stack: Stack, options: GangOptions, limits: Limits) -> None:
        self.base, self.stack, self.limits = base, stack, limits
        self.say: Callable[[str], None] = lambda note: None
        self.route: Route = route_for(base.model, list(stack.like.pairs), options)

    def gradients(self, parts: Sequence[Part]) -> tuple[list[float], Tensor]:
        """(loss of each adapter, gradients [adapters, numbers]) of one micro-batch of every adapter.

        EnvironmentFault if not even one row of one adapter fits into memory.
        """
        while True:
            try:
                return self._gradients(parts)
            except CannotShare:
                self.route = AloneRoute(self.base.model)
            except (RuntimeError, MemoryError) as error:
                if not memory.is_shortage(error):
                    raise
                tighter = self.limits.tighter()
                if tighter is None:
                    raise EnvironmentFault(
                        f"not enough memory on {self.base.device} for one row of one adapter. "
                        "Use a smaller model, shorter rows (recipe.max_length), or dtype bfloat16."
                    ) from error
                self.limits = tighter
                self.say(f"out of memory: continuing with {tighter}")
            free()  # outside the handler, whose traceback holds tensors

    def _gradients(self, parts: Sequence[Part]) -> tuple[list[float], Tensor]:
        losses, gradients = [0.0] * len(parts), torch.zeros_like(self.stack.weights)
        size = self.limits.adapters if self.route.together else 1
        for first in range(0, len(parts), size):
            last = min(first + size, len(parts))
            for pieces in _cut(parts[first:last], self.limits.rows):
                found, gradient = self._one(first, last, pieces)
                gradients[first:last] += gradient
                for k, loss in enumerate(found, first):
                    losses[k] += loss
        return losses, gradients

    def _one(self, first: int, last: int, parts: Sequence[Part]) -> tuple[list[float], Tensor]:
        leaves = self.stack.leaves(first, last)
        counts = [sum(row.trained for row in part.rows) for part in parts]
        losses = self.route.losses(parts, leaves, self.limits.recompute)
        weights = losses.new_tensor([part.weight for part in parts]).repeat_interleave(
            torch.tensor(counts, device=losses.device)
        )
        weighted = losses * weights
        gradients = torch.autograd.grad(weighted.sum(), leaves.flat())
        sums = torch.stack([piece.sum() for piece in torch.split(weighted.detach(), counts)])
        return sums.tolist(), torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)


def _cut(parts: Sequence[Part], rows: int) -> Iterator[list[Part]]:
    """The parts, at most ``rows`` rows of each at a time."""
    for start in range(0, max(len(part.rows) for part in parts), rows):
        yield [
            replace(part, rows=part.rows[start : start + rows], first=part.first + start) for part in parts
        ]


def route_for(model: Any, layers: Sequence[str], options: GangOptions) -> Route:
    """The first route that computes this model exactly, or the one that the options name."""
    routes = {"packed": can_pack(model, layers), "hooked": can_hook(model), "alone": True}
    name = options.route if options.route != "auto" else next(name for name, fits in routes.items() if fits)
    if name == "packed" and routes[name]:
        return PackedRoute(model, options)
    return HookedRoute(model) if name != "alone" and routes["hooked"] else AloneRoute(model)


def limits_for(base: BaseModel, rows: Sequence[Row], batch_size: int, options: GangOptions) -> Limits:
    """As many adapters, then rows, as ``options.memory_gib`` is estimated to hold."""
    budget = _budget(base) if options.memory_gib is None else options.memory_gib * 2**30
    if options.together is not None:
        return Limits(options.together, batch_size, options.recompute)
    longest = sorted((len(row.ids) for row in rows), reverse=True)[:batch_size]
    adapter = sum(longest) * _bytes_per_token(base, longest[0], options.recompute)
    adapters = max(1, int(budget // adapter))
    if adapters > 1 or adapter <= budget:
        return Limits(adapters, batch_size, options.recompute)
    one = longest[0] * _bytes_per_token(base, longest[0], options.recompute)
    return Limits(1, max(1, min(batch_size, int(budget // one))), options.recompute or one > budget)


def _budget(base: BaseModel) -> float:
    """Bytes for activations where the options name none."""
    if base.device.type != "cuda":
        return _CPU_BYTES
    weights: int = sum(p.numel() * p.element_size() for p in base.model.parameters())
    total = int(torch.cuda.get_device_properties(base.device).total_memory)
    return max(float(_CPU_BYTES), _OF_A_GPU * (total - weights))


def _bytes_per_token(base: BaseModel, longest: int, recompute: bool) -> int:
    """Activations kept for the backward pass, roughly: what a decoder layer's operations save."""
    config = base.model.config.get_text_config(decoder=True)
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    heads = int(config.num_attention_heads)
    layer = 16 * hidden + 4 * inner + 2 * heads * longest
    layers = int(config.num_hidden_layers)
    kept = layer + layers * hidden if recompute else layers * layer
    return int(kept * base.model.dtype.itemsize)
