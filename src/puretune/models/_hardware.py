"""Which device and which number format: decided at planning, part of every key, without importing torch."""

from __future__ import annotations

import ctypes
import math
import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from puretune.errors import InputError
from puretune.models._json_files import read_config
from puretune.models._resolve import resolve_model_path
from puretune.models._types import ModelSpec
from puretune.models._weights import tensors_of, weight_files

SMALL_MODEL = 20_000_000
"""Parameters from which on a model is worth more than one CPU thread; below, more threads are hardly faster,
and far slower whenever another process uses the same cores."""

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


def resolved_threads(spec: ModelSpec, path: Path | None = None) -> int:
    """CPU threads: what the spec says, else one for a small model and for others the physical cores that this
    process may use. The weights are in ``path`` or where the spec says.

    With another number of threads sums are made in another order and may round otherwise.
    """
    if spec.threads is not None:
        return spec.threads
    return 1 if stored_parameters(path or resolve_model_path(spec)) < SMALL_MODEL else usable_cores()


def stored_parameters(path: Path) -> int:
    """How many numbers the weights in a directory have; only their headers are read."""
    return sum(info.elements for info in tensors_of(weight_files(path)).values())


def usable_cores() -> int:
    """Physical cores that this process may use: those of the machine, of its affinity, of its control group's
    quota, and no more than ``OMP_NUM_THREADS`` says."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    limits = [_physical_cores(), _quota(), int(said) if said.isascii() and said.isdigit() else None]
    return max(1, min(one for one in limits if one is not None))


def _physical_cores() -> int:
    """Cores of the processors that this process may run on; two threads of one core count once."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    try:
        cores = {Path(str(siblings).replace("cpu0", f"cpu{one}")).read_text().strip() for one in allowed}
    except OSError:
        return len(allowed)
    return len(cores)


def _quota(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Processors' worth of time that the control group (version 2 or 1) allows, rounded up."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()[:2]
        else:
            quota, period = ((root / "cpu" / f"cpu.cfs_{one}_us").read_text() for one in ("quota", "period"))
        return max(1, math.ceil(int(quota) / int(period))) if int(quota) > 0 else None
    except (OSError, ValueError):  # no limit is the word "max"
        return None


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
    config = read_config(resolve_model_path(spec, weights=False))
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
