"""A small model that vLLM's attention for CPUs can run (heads of 32), and adapters on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.models import AdapterRef, adapter_ref, new_lora, save_lora
from tests.tiny import tiny_base, tiny_llama

OPTIONS: dict[str, Any] = {"eager": True, "cpu_cache": 1, "batch_size": 16, "loras": 2, "lora_rank": 8}
"""A quick start and little memory."""


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "llama", head_dim=32)


@pytest.fixture(scope="session")
def base(model_path: Path) -> Any:
    return tiny_base(model_path)


@pytest.fixture(scope="session")
def adapters(base: Any, tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    """Two random adapters that change every answer."""
    return [_adapter(base, tmp_path_factory.mktemp("adapter"), seed) for seed in (1, 2)]


def _adapter(base: Any, directory: Path, seed: int) -> AdapterRef:
    generator = torch.Generator().manual_seed(seed)
    lora = new_lora(base.model, 4, 32, ["q_proj", "v_proj"], generator)
    for _, b in lora.pairs.values():
        b.data.normal_(generator=generator)
    save_lora(directory, lora, base.model, base.spec.model, None)
    return adapter_ref(directory)
