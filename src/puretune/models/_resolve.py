"""From a model's name to its files: a name that a package offers, a directory, a GGUF file, or a hub id.

What is a GGUF file is unpacked into a directory first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from puretune.errors import EnvironmentFault, InputError, unknown
from puretune.files import checked_path
from puretune.models._gguf import SUFFIX, gguf_file, unpacked
from puretune.models._json_files import (
    CONFIG,
    read_config,
    read_generation_config,
    read_tokenizer_config,
    vocabulary_size,
)
from puretune.models._quantize import require_readable
from puretune.models._types import ModelSpec
from puretune.models._weights import embedding_rows, tensors_of, weight_files
from puretune.plugins import Plugins
from puretune.visible import one_line, quoted, visible

MODELS: Plugins[Callable[[], Path]] = Plugins(
    "puretune.models", "model", {"smollm2": "puretune.models._packaged:smollm2"}
)
"""Models by name; each is called for its directory or GGUF file."""
SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "README.md", "LICENSE*")
"""Everything but weights."""
_PART = r"[A-Za-z0-9_](?:(?!--|\.\.)[A-Za-z0-9._-])*(?<![-.])"
_HUB_ID = re.compile(f"{_PART}/{_PART}")
"""The hub's own rule for ids."""
_COMMIT = re.compile("[0-9a-f]{40}")
_ADAPTER_CONFIG = "adapter_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json")


def resolve_model_path(spec: ModelSpec, weights: bool = True, config: bool = True) -> Path:
    """The directory with the model's files, downloaded from the hub where they are not on this machine.

    ``weights=False`` asks for the small files only (configuration, tokenizer); with ``config=False`` a
    tokenizer alone will do. InputError for an unknown name or an incomplete directory; EnvironmentFault where
    the hub cannot be reached.
    """
    local = _local(spec)
    if local is not None:
        packed = gguf_file(local)
        return _complete(unpacked(packed, spec) if packed else local, weights, config)
    require_hub_id(spec)
    return _complete(_downloaded(spec, weights), weights, config)


def is_hub_id(spec: ModelSpec) -> bool:
    """Whether the model's files come from the hub."""
    return spec.model not in MODELS and not _is_here(checked_path(spec.model, "model"))


def _local(spec: ModelSpec) -> Path | None:
    """The directory or GGUF file that the spec names; None for a hub id."""
    if spec.model in MODELS:
        return Path(MODELS.call(spec.model))
    path = checked_path(spec.model, "model")
    return path if _is_here(path) else None


def _is_here(path: Path) -> bool:
    """A directory, or the name of a GGUF file (a missing one is an error of its own)."""
    return path.is_dir() or path.suffix.lower() == SUFFIX


def pinned(spec: ModelSpec) -> ModelSpec:
    """The spec with the revision of a hub model resolved to its commit, so that all that follows reads the
    same files whatever is pushed meanwhile; other models are as they are."""
    if not is_hub_id(spec) or _COMMIT.fullmatch(spec.revision or ""):
        return spec
    path = resolve_model_path(spec, weights=False)
    resolved = path.parent.name == "snapshots" and _COMMIT.fullmatch(path.name)
    return replace(spec, revision=path.name) if resolved else spec


def require_hub_id(spec: ModelSpec) -> None:
    """InputError unless the name has a hub id's form."""
    name = spec.model
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise InputError(f"model {quoted(name)}: no such directory. Check the path in the study's `model`.")
    if not _HUB_ID.fullmatch(name) or len(name) > 96 or name.endswith(".git"):
        raise unknown(
            "model",
            one_line(name),
            MODELS.names(),
            where="a model is a name from this list, a directory, or a hub id `owner/name`",
        )


def _downloaded(spec: ModelSpec, weights: bool) -> Path:
    from huggingface_hub import snapshot_download

    wanted = [
        *SMALL_FILES,
        *(["*.safetensors"] if weights else []),
        *(["*.py"] if spec.trust_remote_code else []),
    ]
    try:
        return Path(
            snapshot_download(
                spec.model, revision=spec.revision, allow_patterns=wanted, ignore_patterns=["original/*"]
            )
        )
    except Exception as error:  # the hub client raises its own, its HTTP library's and the system's errors
        raise hub_fault(spec, error) from error


def hub_fault(spec: ModelSpec, error: Exception) -> InputError | EnvironmentFault:
    """What a hub client's error means for the user."""
    from huggingface_hub import errors

    name = f"model {quoted(spec.model)}" + (f" at revision {quoted(spec.revision)}" if spec.revision else "")
    if isinstance(error, errors.GatedRepoError):
        return EnvironmentFault(
            f"{name} is gated: accept its licence on the hub, then log in (`hf auth login`, or set HF_TOKEN)."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"{name}: the hub has no such revision.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(
            f"{name} is neither a directory here nor a model on the hub. "
            "Check the spelling; a private model needs `hf auth login`."
        )
    return EnvironmentFault(
        f"{name} is not on this machine and cannot be downloaded ({type(error).__name__}: {_line(error)}). "
        "Connect to the network and run the same command again (what was downloaded is kept), or give a "
        "local directory."
    )


def _line(error: Exception) -> str:
    return one_line((str(error).strip().splitlines() or [""])[0])


def _complete(directory: Path, weights: bool, config: bool) -> Path:
    """The directory, when it has what a model needs and its files say what they may; otherwise an InputError
    says what is missing or wrong."""
    if config and not (directory / CONFIG).exists():
        if (directory / _ADAPTER_CONFIG).is_file():
            raise InputError(
                f"{visible(directory)} is an adapter, not a model: name its base here and the adapter as a "
                "condition."
            )
        raise InputError(
            f"{visible(directory)}: no config.json, so this is not a model in Hugging Face format."
        )
    if not any((directory / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(
            f"{visible(directory)}: no tokenizer ({', '.join(TOKENIZER_FILES[:3])}). "
            "Save the model's tokenizer into the same directory (`tokenizer.save_pretrained`)."
        )
    check_settings(directory)
    if weights:
        check_weights(directory)
    return directory


def check_settings(directory: Path) -> None:
    """InputError if a JSON file of a model says what it may not (see ``_fields``)."""
    read_generation_config(directory, vocabulary_size(read_config(directory)))
    read_tokenizer_config(directory)


def check_weights(directory: Path) -> list[Path]:
    """The weight files; InputError if they are not whole, are not the configuration's, are quantised in a
    way that nothing here reads, or are next to an adapter, which transformers would apply unasked."""
    files, config = weight_files(directory), read_config(directory)
    require_readable(directory, config)
    if (directory / _ADAPTER_CONFIG).exists():
        raise InputError(
            f"{visible(directory)} holds a model and an adapter ({_ADAPTER_CONFIG}); it is not clear which "
            "is meant. Move the adapter's files into their own directory."
        )
    rows, stated = embedding_rows(tensors_of(files)), vocabulary_size(config)
    if rows is not None and stated is not None and rows != stated:
        raise InputError(
            f"{visible(directory / CONFIG)}: `vocab_size` is {stated:,}, and the embedding in the weights "
            f"has {rows:,} rows. The two do not belong together: copy or download the model again."
        )
    return files
