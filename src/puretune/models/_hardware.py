"""Which device and which number format: decided at planning, part of every key, without importing torch."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from puretune.errors import InputError
from puretune.models._resolve import read_json, resolve_model_path
from puretune.models._types import ModelSpec

DEFAULT_THREADS = 1
"""CPU threads where the spec names none. Fixed, because sums in another order round otherwise; one, because
more are hardly faster on small models and far slower wherever another process wants the same cores."""

_DTYPE_KEYS = ("dtype", "torch_dtype")
"""In ``config.json``; the second is transformers' name before version 5."""
_DEVICES = ("auto", "cpu", "cuda", "mps")


def resolved_device(spec: ModelSpec) -> str:
    """``cpu``, ``cuda``, ``cuda:1`` or ``mps``. ``auto``: CUDA where its driver has a device, else CPU."""
    if spec.device.split(":")[0] not in _DEVICES:
        raise InputError(f"device {spec.device!r}: use one of {', '.join(_DEVICES)}, or cuda:N.")
    if spec.device != "auto":
        return spec.device
    return "cuda" if _cuda_devices() > 0 else "cpu"


def resolved_dtype(spec: ModelSpec) -> str:
    """``float32``, ``bfloat16`` or ``float16``.

    ``auto`` is bfloat16 on CUDA, and on a CPU that multiplies in it where the weights are stored in half
    precision; else float32. So weights stored in full precision give the same figures on every CPU.
    """
    if spec.dtype != "auto":
        return spec.dtype
    device = resolved_device(spec)
    half = device.startswith("cuda") or (device == "cpu" and has_bf16() and _stored_in_half(spec))
    return "bfloat16" if half else "float32"


@cache
def has_bf16() -> bool:
    """Whether the CPU multiplies matrices in bfloat16 (AVX512-BF16 or AMX). Linux says so; elsewhere: no."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return False
    return bool(flags and {"avx512_bf16", "amx_bf16"} & set(flags.group(1).split()))


def _stored_in_half(spec: ModelSpec) -> bool:
    """Whether the model's configuration says that its weights have 16 bits."""
    config = read_json(resolve_model_path(spec, weights=False) / "config.json")
    stated = [part.get(key) for part in (config, config.get("text_config") or {}) for key in _DTYPE_KEYS]
    return bool({"bfloat16", "float16"} & {str(one) for one in stated})


def free_memory() -> None:
    """Give what was let go back to the device."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@cache
def _cuda_devices() -> int:
    """How many devices NVIDIA's driver reports; 0 without a driver or with a torch built without CUDA."""
    torch = find_spec("torch")
    if torch is None or not (Path(str(torch.origin)).parent / "lib" / "libtorch_cuda.so").exists():
        return 0
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
