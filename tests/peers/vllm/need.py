"""Skips a module of tests where vLLM is not installed; all of them make one line."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def need_vllm() -> None:
    """Call it before anything else in a module."""
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed here; `make test-vllm` runs these tests", allow_module_level=True)
