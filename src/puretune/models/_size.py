"""How large a model is: what estimates of work, and ways for small models, rest on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from puretune.models._hardware import SMALL_MODEL
from puretune.models._library_errors import quiet
from puretune.models._load import load_config, without_weights
from puretune.models._resolve import resolve_model_path
from puretune.models._types import ModelSpec

_HEADS = ("lm_head", "embed_out")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


def parameters_per_token(spec: ModelSpec) -> int:
    """Parameters that every token is multiplied with: the N of "2N FLOPs per token".

    The embedding table is looked up, not multiplied, so it counts only where it is the head too; of a
    mixture's experts those count that one token goes through. No weights are read. InputError where
    transformers does not know the architecture.
    """
    model = _without_weights(spec)
    config = model.config.get_text_config(decoder=True)
    share = _share_of_experts(config)
    total = sum(
        weight.numel() * (share if ".experts." in name else 1.0) for name, weight in model.named_parameters()
    )
    looked_up = 0 if config.tie_word_embeddings else model.get_input_embeddings().weight.numel()
    return int(math.ceil(total) - looked_up)


@dataclass(frozen=True)
class ModelShape:
    """What memory and adapters depend on; told from the configuration, no weights are read."""

    parameters: int
    """All that are stored."""
    width: int
    """Numbers of a token's hidden state."""
    layers: int
    linear: Mapping[str, int]
    """Last part of a linear layer's name -> rows plus columns, over all layers of that name: times its rank,
    the size of an adapter. The head is not among them."""


def model_shape(spec: ModelSpec) -> ModelShape:
    """The shape of a model. InputError where transformers does not know the architecture."""
    model = _without_weights(spec)
    config = model.config.get_text_config(decoder=True)
    linear: Counter[str] = Counter()
    for name, module in model.named_modules():
        if _is_linear(module) and name.rpartition(".")[2] not in _HEADS:
            linear[name.rpartition(".")[2]] += sum(module.weight.shape)
    parameters = sum(weight.numel() for weight in model.parameters())
    return ModelShape(parameters, config.hidden_size, config.num_hidden_layers, dict(linear))


def _is_linear(module: Any) -> bool:
    """torch's linear layer, or GPT-2's, which has the matrix the other way round."""
    return type(module).__name__ in ("Linear", "Conv1D") and module.weight.ndim == 2


def is_small(model: Any) -> bool:
    """Whether a model costs so little memory that copies of it, or a second process with it, do no harm; more
    threads would not help it either."""
    return bool(sum(weight.numel() for weight in model.parameters()) < SMALL_MODEL)


def _without_weights(spec: ModelSpec) -> Any:
    path = resolve_model_path(spec, weights=False)
    with quiet():
        config = load_config(path, spec.trust_remote_code)
        return without_weights(path, config, spec.trust_remote_code)


def _share_of_experts(config: Any) -> float:
    number = next((value for name in _EXPERTS if (value := getattr(config, name, None))), None)
    chosen = getattr(config, "num_experts_per_tok", None)
    return chosen / number if number and chosen else 1.0
