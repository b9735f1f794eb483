"""Quantised weights: held in 4 or 8 bits while they answer, through bitsandbytes (Dettmers et al., arXiv
2305.14314), or stored so by whoever published the model."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from puretune import memory
from puretune.errors import EnvironmentFault, InputError
from puretune.models._types import ModelSpec
from puretune.visible import one_line, visible

_PACKAGES = {
    "gptq": ("gptqmodel", "optimum"),
    "awq": ("gptqmodel",),
    "bitsandbytes": ("bitsandbytes",),
    "bitsandbytes_4bit": ("bitsandbytes",),
    "bitsandbytes_8bit": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "torchao": ("torchao",),
    "quanto": ("optimum.quanto",),
    "hqq": ("hqq",),
    "aqlm": ("aqlm",),
    "eetq": ("eetq",),
    "vptq": ("vptq",),
    "mxfp4": ("triton", "kernels"),
}
"""How a stored model is quantised -> the modules that transformers needs to read it."""
_INSTALL = {"compressed_tensors": "compressed-tensors", "optimum.quanto": "optimum-quanto"}


def quantization_lacking(spec: ModelSpec) -> str:
    """Why the weights cannot be held as the spec says, and what to do; empty if they can."""
    if spec.quantization is None or find_spec("bitsandbytes") is not None:
        return ""
    return (
        f"quantization: {spec.quantization} needs bitsandbytes, which is not installed. Install it: "
        "pip install bitsandbytes. Or leave `quantization` out of the study's `model`."
    )


def quantization_key(spec: ModelSpec) -> str | None:
    """How the weights are quantised and by which version, for keys; None if they are not."""
    if spec.quantization is None:
        return None
    version = metadata.version("bitsandbytes") if not quantization_lacking(spec) else "not installed"
    return f"{spec.quantization} (bitsandbytes {version})"


def quantized_loading(spec: ModelSpec, dtype: Any, device: str) -> dict[str, Any]:
    """What transformers is told to load them so. EnvironmentFault if bitsandbytes is missing.

    4 bits are NormalFloat with double quantisation; sums are made in ``dtype``.
    """
    if spec.quantization is None:
        return {}
    lacking = quantization_lacking(spec)
    if lacking:
        raise EnvironmentFault(lacking)
    from transformers import BitsAndBytesConfig

    four = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
    how = {"load_in_4bit": True, **four} if spec.quantization == "4bit" else {"load_in_8bit": True}
    return {"quantization_config": BitsAndBytesConfig(**how), "device_map": {"": device}}


def try_quantized(model: Any, spec: ModelSpec) -> None:
    """InputError if the quantised layers cannot be used: bitsandbytes has no product for some of their
    sizes on some devices, and says so only when it is asked for one."""
    import torch

    try:
        with torch.inference_mode():
            model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=model.device))
    except (RuntimeError, ValueError, NotImplementedError, AssertionError) as error:
        if memory.is_shortage(error):
            raise
        raise InputError(
            f"quantization: {spec.quantization}: bitsandbytes cannot use this model on {model.device} "
            f"({one_line(error)}). Leave `quantization` out of the study's `model`, or use a GPU."
        ) from error


def require_readable(path: Path, config: Mapping[str, Any]) -> None:
    """InputError if the stored weights are quantised in a way that nothing installed here reads."""
    method = stored_quantization(config)
    if method is None:
        return
    absent = [name for name in _PACKAGES.get(method, ()) if not _is_installed(name)]
    if absent:
        needs = " ".join(_INSTALL.get(name, name) for name in absent)
        raise InputError(
            f"{visible(path / 'config.json')}: the weights are quantised ({one_line(method)}), and reading "
            f"them needs a package that is not installed. Install it: pip install {needs}. Or use the "
            "model's unquantised weights."
        )


def stored_quantization(config: Mapping[str, Any]) -> str | None:
    """How the weights of a model are quantised in its files, as ``config.json`` says; None: they are not."""
    stated = config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config")
    if not isinstance(stated, dict):
        return None
    method = stated.get("quant_method")
    if isinstance(method, str):
        return method.lower()
    return "bitsandbytes" if stated.get("load_in_4bit") or stated.get("load_in_8bit") else "unknown"


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of a package inside one that is missing
        return False
