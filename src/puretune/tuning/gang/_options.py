"""What can be chosen about gang tuning; each mechanism has a switch, so that its share can be measured."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from puretune.tuning._spec import LocalTuner

AttentionKind = Literal["auto", "plain", "sdpa"]
RouteKind = Literal["auto", "packed", "hooked", "alone"]


@dataclass(frozen=True)
class GangOptions(LocalTuner):
    """No option changes an adapter beyond rounding; the defaults are the fastest."""

    together: int | None = None
    """Maximum adapters per pass; None: as many as ``memory_gib`` is estimated to hold."""
    memory_gib: float | None = None
    """Memory for the activations of one pass, in GiB. None: 4 on a CPU; of a GPU most of what the weights
    leave, whatever is free at the moment, so that every run is cut alike."""
    pack: bool = True
    """Rows of different lengths are concatenated instead of being padded to the longest."""
    share_prefix: bool = True
    """Tokens that all rows of a template share are computed once per adapter and micro-batch."""
    last_layer: bool = True
    """The last layer computes queries only where a token is trained."""
    head: bool = True
    """The output layer sees trained positions only."""
    recompute: bool = False
    """Activations are computed again in the backward pass instead of being kept (also done automatically,
    when one row of one adapter does not fit)."""
    attention: AttentionKind = "auto"
    """``plain``: batched products; ``sdpa``: torch's fused kernels. auto: plain on the CPU."""
    route: RouteKind = "auto"
    """``packed``: puretune drives the decoder (Llama, Mistral, Qwen 2 and 3); ``hooked``: the model's own
    forward pass on padded rows; ``alone``: one adapter at a time. auto: the first that is exact."""

    name = "gang"
    version = "2"
    opens = "puretune.tuning.gang._tuner:GangTuner"
    any_loss = True

    def inputs(self) -> dict[str, Any]:
        """The options that are not at their defaults: sums in another order round otherwise."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in said.items() if value != getattr(_DEFAULTS, name)}


_DEFAULTS = GangOptions()
