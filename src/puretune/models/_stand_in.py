"""A stand-in for a model, to measure how fast this machine is with it: the same shapes, fewer layers.

Its weights are random: none are read.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from puretune.models._base_model import BaseModel
from puretune.models._hardware import resolved_device, resolved_dtype, resolved_threads
from puretune.models._library_errors import quiet
from puretune.models._load import load_config
from puretune.models._resolve import resolve_model_path
from puretune.models._tokenizer import context_length, renderer_for
from puretune.models._types import ModelSpec

_PARAMETERS = 150_000_000
"""About as many as a stand-in has: some seconds' work on two cores. Its time per parameter is the model's."""


def stand_in(spec: ModelSpec) -> tuple[BaseModel, float]:
    """The stand-in on the device that ``spec`` resolves to, and how many times its work the model's is.

    InputError where the model's files do not say its shapes; sets torch's number of CPU threads.
    """
    path = resolve_model_path(spec, weights=False)
    with quiet():
        config = load_config(path, spec.trust_remote_code)
    torch.set_num_threads(resolved_threads(spec))
    whole, one = (_parameters(_with_layers(config, n)) for n in (config.num_hidden_layers, 1))
    per_layer = (whole - one) / max(1, config.num_hidden_layers - 1)
    layers = max(1, min(config.num_hidden_layers, round((_PARAMETERS - one) / max(1.0, per_layer)) + 1))
    small = _with_layers(config, layers)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(small, dtype=getattr(torch, resolved_dtype(spec)))
    model = model.to(resolved_device(spec)).eval().requires_grad_(False)
    renderer = renderer_for(spec)
    base = BaseModel(model, renderer.tokenizer, renderer, context_length(path), "stand-in", spec, Path())
    return base, whole / _parameters(small)


def _with_layers(config: Any, layers: int) -> Any:
    fewer = copy.deepcopy(config)
    fewer.num_hidden_layers = layers
    if getattr(fewer, "layer_types", None):
        fewer.layer_types = fewer.layer_types[:layers]
    return fewer


def _parameters(config: Any) -> int:
    """Parameters that a token is multiplied with."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    looked_up = 0 if config.tie_word_embeddings else model.get_input_embeddings().weight.numel()
    return int(sum(weight.numel() for weight in model.parameters()) - looked_up)
