"""The fingerprint of a base model: SHA-256 over the files that can change a token or a logit."""

from __future__ import annotations

import re
from pathlib import Path

from puretune.models._digests import digest_of, digests
from puretune.models._resolve import (
    TOKENIZER_FILES,
    hub_fault,
    is_hub_id,
    require_hub_id,
    resolve_model_path,
)
from puretune.models._types import ModelSpec
from puretune.models._weights import weight_files

_SETTINGS = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    *TOKENIZER_FILES,
)


def fingerprint(spec: ModelSpec) -> str:
    """SHA-256 (64 hex digits) over configuration, tokenizer, chat template and weights; torch is not needed.

    The same content has the same fingerprint wherever it lies. Weights that are only on the hub are not
    downloaded for this: the hub knows their digests.
    """
    if is_hub_id(spec) and not _weights_are_here(spec):
        return digest_of({**_settings(resolve_model_path(spec, weights=False)), **_hub_weights(spec)})
    directory = resolve_model_path(spec)
    return digest_of({**_settings(directory), **digests(weight_files(directory))})


def provisional_fingerprint(spec: ModelSpec) -> str:
    """Placeholder for the fingerprint while the weights are not here: no stored thing has it in its key."""
    return "without weights " + digest_of(_settings(resolve_model_path(spec, weights=False)))


def _settings(directory: Path) -> dict[str, str]:
    templates = sorted((directory / "additional_chat_templates").glob("*.jinja"))
    present = [directory / name for name in dict.fromkeys(_SETTINGS) if (directory / name).is_file()]
    return digests([*present, *templates])


def _weights_are_here(spec: ModelSpec) -> bool:
    from huggingface_hub import snapshot_download

    require_hub_id(spec)
    try:
        directory = Path(snapshot_download(spec.model, revision=spec.revision, local_files_only=True))
        return bool(weight_files(directory))
    except Exception:  # not cached, or not whole
        return False


def _hub_weights(spec: ModelSpec) -> dict[str, str]:
    """Digests of the weight files as the hub states them."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(spec.model, revision=spec.revision, files_metadata=True)
    except Exception as error:
        raise hub_fault(spec, error) from error
    found = {file.rfilename: file.lfs.sha256 for file in info.siblings or () if file.lfs is not None}
    return {name: digest for name, digest in found.items() if re.fullmatch(r"model.*\.safetensors", name)}
