"""Weights held in 4 or 8 bits while they answer, through bitsandbytes (Dettmers et al., arXiv 2305.14314)."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import Any

from puretune.errors import EnvironmentFault
from puretune.models._types import ModelSpec


def quantization_lacking(spec: ModelSpec) -> str:
    """Why the weights cannot be held as the spec says, and what to do; empty where they can."""
    if spec.quantization is None or find_spec("bitsandbytes") is not None:
        return ""
    return (
        f"quantization: {spec.quantization} needs bitsandbytes, which is not installed. Install it: "
        "pip install bitsandbytes. Or leave `quantization` out of the study's `model`."
    )


def quantization_key(spec: ModelSpec) -> str | None:
    """How the weights are quantised and by which version, for keys; None where they are not."""
    if spec.quantization is None:
        return None
    version = metadata.version("bitsandbytes") if not quantization_lacking(spec) else "not installed"
    return f"{spec.quantization} (bitsandbytes {version})"


def quantized_loading(spec: ModelSpec, dtype: Any, device: str) -> dict[str, Any]:
    """What transformers is told to load them so. EnvironmentFault where bitsandbytes is missing.

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
