"""A base model's weights, loaded and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, GenerationConfig, __version__

from puretune import memory
from puretune.errors import EnvironmentFault, InputError, PuretuneError
from puretune.models._base_model import BaseModel
from puretune.models._fingerprint import fingerprint
from puretune.models._hardware import resolved_device, resolved_dtype, resolved_threads
from puretune.models._json_files import (
    CONFIG,
    GENERATION,
    read_config,
)
from puretune.models._library_errors import SMALLER, quiet, reading, reason
from puretune.models._loaded_weights import check_loaded, check_shapes
from puretune.models._quantize import quantized_loading, try_quantized
from puretune.models._resolve import check_weights, resolve_model_path
from puretune.models._tokenizer import context_length, renderer_for
from puretune.models._types import ModelSpec
from puretune.models._weights import TensorInfo, tensors_of
from puretune.templates import Renderer
from puretune.visible import one_line, quoted, visible


def load_base(spec: ModelSpec, renderer: Renderer | None = None) -> BaseModel:
    """Loads the model that ``spec`` describes onto its device, from safetensors only.

    Sets torch's number of CPU threads. EnvironmentFault if the device is missing or has too little memory.
    """
    path = resolve_model_path(spec)
    renderer = renderer or renderer_for(spec)
    return BaseModel(
        model=load_model(path, spec),
        tokenizer=renderer.tokenizer,
        renderer=renderer,
        context_length=context_length(path),
        fingerprint=fingerprint(spec),
        spec=spec,
        path=path,
    )


def load_model(path: Path, spec: ModelSpec) -> Any:
    """The transformers model in a directory, frozen, in evaluation mode, held as ``spec`` says.

    InputError if a file says what it may not, or weights are missing, left over or not finite;
    EnvironmentFault if memory is short.
    """
    stored = tensors_of(check_weights(path))
    with memory.enough(f"load {path}", SMALLER):
        torch.set_num_threads(resolved_threads(spec, path))
        device, dtype = _checked_device(resolved_device(spec)), getattr(torch, resolved_dtype(spec))
        quantized = quantized_loading(spec, dtype, device)
        with quiet(), reading(path, "model"):
            model, info = _load(path, spec, stored, dtype, device, quantized)
        check_loaded(path, model, info)
        if quantized:
            try_quantized(model, spec)
    return model.eval().requires_grad_(False)


def _load(
    path: Path, spec: ModelSpec, stored: Mapping[str, TensorInfo], dtype: Any, device: str, quantized: Any
) -> tuple[Any, Mapping[str, Any]]:
    """The model and what transformers says about its loading, after the files have been tried in turn."""
    config = load_config(path, spec.trust_remote_code)
    if not spec.trust_remote_code:
        check_shapes(path, without_weights(path, config), stored)
    _try_generation_config(path)
    if not quantized and device == "cpu":
        numbers = sum(info.elements for info in stored.values())
        memory.require(numbers * dtype.itemsize, f"the model in {path} ({numbers:,} weights)", SMALLER)
    model, info = AutoModelForCausalLM.from_pretrained(
        str(path),
        config=config,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=spec.trust_remote_code,
        local_files_only=True,
        ignore_mismatched_sizes=True,  # they are named with the missing ones
        output_loading_info=True,
        **quantized,
    )
    return (model if quantized else model.to(device)), info


def load_config(path: Path, trust_remote_code: bool = False) -> Any:
    """transformers' configuration of the model in a directory. InputError names the key that it cannot be
    made with."""
    read_config(path)
    try:
        return AutoConfig.from_pretrained(
            str(path), local_files_only=True, trust_remote_code=trust_remote_code
        )
    except Exception as error:
        raise _config_fault(path, error) from error


def without_weights(path: Path, config: Any, trust_remote_code: bool = False) -> Any:
    """The model that a configuration describes, without memory for its weights (torch's device ``meta``).
    InputError names the key that it cannot be built with."""
    try:
        return _built(config, trust_remote_code)
    except Exception as error:
        raise _config_fault(path, error) from error


def _built(config: Any, trust_remote_code: bool = False) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)


def _config_fault(path: Path, error: Exception) -> PuretuneError:
    """What a configuration's error means, with the key without which transformers can build the model."""
    content, file = read_config(path), visible(path / CONFIG)
    kind = content.get("model_type")
    if memory.is_shortage(error):
        return memory.shortage(f"load {visible(path)}", SMALLER)
    if kind not in CONFIG_MAPPING:
        return InputError(
            f"{file}: transformers {__version__} does not know the `model_type` {quoted(kind, 60)}. "
            "Update transformers, or correct it."
        )

    def works(fields: Mapping[str, Any]) -> bool:
        try:
            return _built(CONFIG_MAPPING[kind].from_dict(dict(fields))) is not None
        except Exception:
            return False

    key = next((key for key in content if works({k: v for k, v in content.items() if k != key})), None)
    return InputError(
        f"{file}: {f'`{one_line(key, 60)}`: ' if key else ''}this model cannot be loaded: {reason(error)}. "
        "Correct it, or copy the file again."
    )


def _try_generation_config(path: Path) -> None:
    if (path / GENERATION).exists():
        with reading(path / GENERATION, "file"):
            GenerationConfig.from_pretrained(str(path), local_files_only=True)


def _checked_device(device: str) -> str:
    kind, _, number = device.partition(":")
    if kind == "cuda" and not (torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count()):
        raise EnvironmentFault(f"device {device!r}: torch sees no such GPU. Use `device: cpu`.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise EnvironmentFault("device 'mps': torch does not offer it on this machine. Use `device: cpu`.")
    return device
