"""The tiny models of this room: each shows another feature of a decoder."""

from pathlib import Path
from typing import Any

import pytest

from tests.tiny import FAMILIES, llama, llama_path, tiny_base, tiny_llama

__all__ = ["llama", "llama_path"]


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By family. Tests leave them as they found them."""
    directory = tmp_path_factory.mktemp("families")
    made = {name: tiny_base(make(directory / name)) for name, make in FAMILIES.items()}
    made["grouped"] = tiny_base(_grouped(directory / "grouped"))
    return made


def _grouped(directory: Path) -> Path:
    """A Llama with grouped-query attention, heads of another width, biases and Llama 3's scaled angles."""
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 4.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    biases = {"attention_bias": True, "mlp_bias": True}
    return tiny_llama(directory, num_key_value_heads=2, head_dim=16, rope_parameters=rope, **biases)
