"""LoRA on a frozen model: low-rank matrices added to chosen linear layers (Hu et al., arXiv 2106.09685).

A layer's output becomes ``base(x) + alpha/rank * B A dropout(x)``. Nothing in the base is replaced: a forward
hook adds the term, and taking the hooks off gives the base back exactly. Files are in PEFT's format.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from safetensors.torch import load_file, save
from torch import Generator, Tensor
from torch.nn import Module, Parameter

from puretune.errors import InputError, unknown
from puretune.models._adapter_config import ADAPTER_CONFIG
from puretune.models._adapter_files import ADAPTER_WEIGHTS, PREFIX, AdapterFiles, read_adapter
from puretune.models._targets import ALL_LINEAR, is_named
from puretune.store import write_bytes, write_text
from puretune.visible import one_line

Drop = Callable[[str, "Tensor"], "Tensor"]
"""(layer's name, its input [..., inputs]) -> the input with dropout."""


@dataclass(frozen=True)
class Lora:
    """One adapter in memory: per layer name the pair A [rank, inputs] and B [outputs, rank], in float32."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    pairs: Mapping[str, tuple[Parameter, Parameter]]
    scaling: float

    @property
    def parameters(self) -> list[Parameter]:
        """All A and B, in the order of the layers."""
        return [matrix for pair in self.pairs.values() for matrix in pair]


def new_lora(model: Any, rank: int, alpha: float, targets: Sequence[str], generator: Generator) -> Lora:
    """A fresh adapter: A uniform in +-1/sqrt(inputs), drawn on the CPU layer by layer; B zero (as PEFT)."""
    pairs = {}
    for name, module in target_modules(model, targets).items():
        outputs, inputs = _size(module)
        drawn = torch.empty(rank, inputs).uniform_(
            -1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator
        )
        pairs[name] = _pair(drawn, torch.zeros(outputs, rank), model.device)
    return Lora(rank, alpha, tuple(targets), pairs, alpha / rank)


def target_modules(model: Any, targets: Sequence[str]) -> dict[str, Module]:
    """The layers named by ``targets`` (a name, its last parts, or ``all-linear``), in the model's order."""
    linear = {name: m for name, m in model.named_modules() if _is_linear(m)}
    head = model.get_output_embeddings()
    for target in targets:
        if target != ALL_LINEAR and not any(is_named(name, target) for name in linear):
            ends = {name.rpartition(".")[2] for name in linear}
            raise unknown("target layer", target, [*ends, ALL_LINEAR], where="recipe.targets")
    return {
        name: module
        for name, module in linear.items()
        if any(is_named(name, t) or (t == ALL_LINEAR and module is not head) for t in targets)
    }


@dataclass(frozen=True)
class LowRank:
    """The forward hook that adds an adapter's term to one layer's output."""

    name: str
    a: Parameter
    b: Parameter
    scaling: float
    drop: Drop | None

    def __call__(self, module: Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        x = arguments[0].to(self.a.dtype)
        if self.drop is not None:
            x = self.drop(self.name, x)
        changed: Tensor = output + (x @ self.a.T @ self.b.T) * self.scaling
        return changed.to(output.dtype)


def low_rank(module: Any) -> LowRank | None:
    """What :func:`attached` has put on a layer."""
    return next((hook for hook in module._forward_hooks.values() if type(hook) is LowRank), None)


@contextmanager
def attached(model: Any, lora: Lora, drop: Drop | None = None) -> Iterator[None]:
    """The adapter on the model while the block runs; ``drop`` changes what enters A, layer by layer."""
    modules = dict(model.named_modules())
    handles = [
        modules[name].register_forward_hook(LowRank(name, *pair, lora.scaling, drop))
        for name, pair in lora.pairs.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def merged(model: Any, lora: Lora) -> Iterator[None]:
    """The adapter added into copies of the weights while the block runs; then the same weights return."""
    modules = dict(model.named_modules())
    originals = {name: modules[name].weight for name in lora.pairs}
    try:
        with torch.no_grad():
            for name, (a, b) in lora.pairs.items():
                change = lora.scaling * (b @ a)
                weight = originals[name]
                change = change.T if _is_transposed(modules[name]) else change
                total = (weight.float() + change).to(weight.dtype)
                modules[name].weight = torch.nn.Parameter(total, requires_grad=False)
        yield
    finally:
        for name, weight in originals.items():
            modules[name].weight = weight


def save_lora(directory: Path, lora: Lora, model: Any, base: str, revision: str | None) -> None:
    """Writes the adapter in PEFT's format; ``base`` and ``revision`` name the model for PEFT's loaders."""
    transposed = any(_is_transposed(m) for n, m in model.named_modules() if n in lora.pairs)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "revision": revision,
        "inference_mode": True,
        "r": lora.rank,
        "lora_alpha": int(lora.alpha) if float(lora.alpha).is_integer() else lora.alpha,
        "lora_dropout": 0.0,
        "target_modules": list(lora.targets) if ALL_LINEAR not in lora.targets else sorted(lora.pairs),
        "bias": "none",
        "fan_in_fan_out": transposed,
        "use_rslora": lora.scaling != lora.alpha / lora.rank,
    }
    tensors = {}
    for name, (a, b) in lora.pairs.items():
        tensors[f"{PREFIX}{name}.lora_A.weight"] = a.detach().cpu().contiguous()
        tensors[f"{PREFIX}{name}.lora_B.weight"] = b.detach().cpu().contiguous()
    write_text(directory / ADAPTER_CONFIG, json.dumps(config, indent=2) + "\n")
    write_bytes(directory / ADAPTER_WEIGHTS, save(tensors, metadata={"format": "pt"}))


def load_lora(path: Path, model: Any) -> Lora:
    """A plain LoRA adapter from PEFT's format, every tensor of it; InputError for other kinds and for one of
    another model."""
    files = read_adapter(path)
    if files.more:
        raise InputError(
            f"{path}: not a plain LoRA adapter ({files.more}); training cannot continue from it."
        )
    return plain_lora(files, model)


def plain_lora(files: AdapterFiles, model: Any) -> Lora:
    """The matrices of plain LoRA, in the order of the model's layers.

    InputError if they are not those of exactly the layers that the configuration targets.
    """
    tensors: dict[str, Tensor] = load_file(files.weights)
    modules = dict(model.named_modules())
    named = {key.removeprefix(PREFIX).rpartition(".lora_")[0] for key in tensors}
    order = {name: place for place, name in enumerate(modules)}
    pairs = {}
    for name in sorted(named, key=lambda name: (order.get(name, 0), name)):
        a, b = (tensors[f"{PREFIX}{name}.lora_{part}.weight"].float() for part in "AB")
        _check_layer(files, name, modules.get(name), (b.shape[0], a.shape[1]))
        pairs[name] = _pair(a, b, model.device)
    _check_targets(files, modules, named)
    config = files.config
    rank, alpha = int(config["r"]), float(config["lora_alpha"])
    scaling = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    stated = config["target_modules"]
    return Lora(rank, alpha, (stated,) if isinstance(stated, str) else tuple(sorted(stated)), pairs, scaling)


def _check_layer(files: AdapterFiles, name: str, module: Any, changed: tuple[int, int]) -> None:
    size = _size(module) if module is not None and _is_linear(module) else None
    if size != changed:
        raise InputError(
            f"{files.path}: this adapter was made for another base model: it changes {one_line(name)} of "
            f"size {list(changed)}; this model has {list(size) if size else 'no such linear layer'}."
        )


def _check_targets(files: AdapterFiles, modules: Mapping[str, Any], named: set[str]) -> None:
    """InputError if the configuration targets layers for which the file has nothing, or the reverse."""
    targeted = {name for name in _targeted(files.config, modules) if _is_adaptable(modules[name])}
    for these, what in ((targeted - named, "targets"), (named - targeted, "does not target")):
        if these:
            raise InputError(
                f"{files.path}: {ADAPTER_CONFIG} {what} {len(these)} layers "
                f"{'that are not' if what == 'targets' else 'that are'} in {ADAPTER_WEIGHTS}, first "
                f"{one_line(min(these))}. Name the two files of one training."
            )


def _targeted(config: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    """The modules that ``target_modules`` and its companions name, as PEFT reads them."""
    targets = config["target_modules"]
    plain = isinstance(targets, list) and not (config.get("exclude_modules") or _has_layers(config))
    if plain:
        yield from (name for name in names if any(is_named(name, target) for target in targets))
        return

    keys = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
    try:
        asked = LoraConfig(**{key: config[key] for key in keys if config.get(key) is not None})
        yield from (name for name in names if check_target_module_exists(asked, name))
    except (re.error, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{ADAPTER_CONFIG}: PEFT cannot read {', '.join(keys)}: {one_line(error)}."
        ) from error


def _has_layers(config: Mapping[str, Any]) -> bool:
    return config.get("layers_to_transform") is not None or bool(config.get("layers_pattern"))


def _is_adaptable(module: Any) -> bool:
    return _is_linear(module) or hasattr(module, "num_embeddings")


def _pair(a: Tensor, b: Tensor, device: Any) -> tuple[Parameter, Parameter]:
    return Parameter(a.to(device)), Parameter(b.to(device))


def _is_linear(module: Any) -> bool:
    return hasattr(module, "in_features") or _is_transposed(module)


def _is_transposed(module: Any) -> bool:
    return type(module).__name__ == "Conv1D"


def _size(module: Any) -> tuple[int, int]:
    """(outputs, inputs)"""
    if _is_transposed(module):
        return module.weight.shape[1], module.weight.shape[0]
    return module.out_features, module.in_features
