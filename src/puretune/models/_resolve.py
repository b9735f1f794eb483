"""From a model's name to its files: a name that a package offers, a local directory, or a hub id.

Entry points of the group ``puretune.models`` are zero-argument callables that return the directory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from puretune.errors import EnvironmentFault, InputError, unknown
from puretune.models._types import ModelSpec

GROUP = "puretune.models"
SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "README.md", "LICENSE*")
"""Everything but weights."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def resolve_model_path(spec: ModelSpec, weights: bool = True, config: bool = True) -> Path:
    """The directory with the model's files, downloaded from the hub where they are not on this machine.

    ``weights=False`` asks for the small files only (configuration, tokenizer); with ``config=False`` a
    tokenizer alone will do. InputError for an unknown name or an incomplete directory; EnvironmentFault where
    the hub cannot be reached.
    """
    if spec.model in offered_models():
        return _complete(Path(offered_models()[spec.model]()), weights, config)
    local = Path(spec.model).expanduser()
    if local.is_dir():
        return _complete(local, weights, config)
    require_hub_id(spec)
    return _complete(_downloaded(spec, weights), weights, config)


def is_hub_id(spec: ModelSpec) -> bool:
    """Whether the model's files come from the hub."""
    return spec.model not in offered_models() and not Path(spec.model).expanduser().is_dir()


def offered_models() -> dict[str, Callable[[], Path]]:
    """Models that installed packages offer, by name; each value returns the model's directory."""
    return {point.name: _Loaded(point) for point in entry_points(group=GROUP)}


class _Loaded:
    """Loads an entry point when it is called, not when it is listed."""

    def __init__(self, point: Any) -> None:
        self.point = point

    def __call__(self) -> Path:
        return Path(self.point.load()())


def require_hub_id(spec: ModelSpec) -> None:
    """InputError unless the name has a hub id's form."""
    name = spec.model
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise InputError(f"model {name!r}: no such directory. Check the path in the study's `model`.")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise unknown(
            "model",
            name,
            offered_models(),
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

    name = f"model {spec.model!r}" + (f" at revision {spec.revision!r}" if spec.revision else "")
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
        "Connect to the network and run the same command again (what has arrived is kept), or give a local "
        "directory."
    )


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def _complete(directory: Path, weights: bool, config: bool) -> Path:
    """The directory, when it has what a model needs; otherwise an InputError says what is missing."""
    if config and not (directory / "config.json").is_file():
        if (directory / "adapter_config.json").is_file():
            raise InputError(
                f"{directory} is an adapter, not a model: name its base here and the adapter as a condition."
            )
        raise InputError(f"{directory}: no config.json, so this is not a model in Hugging Face format.")
    if not any((directory / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(
            f"{directory}: no tokenizer ({', '.join(TOKENIZER_FILES[:3])}). "
            "Save the model's tokenizer into the same directory (`tokenizer.save_pretrained`)."
        )
    if weights:
        weight_files(directory)
    return directory


def weight_files(directory: Path) -> list[Path]:
    """The model's safetensors files by name; InputError for none, or one that is missing or cut off."""
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        missing = [name for name in names if not (directory / name).is_file()]
        if missing:
            raise InputError(
                f"{directory}: {len(missing)} of {len(names)} weight files are missing, first {missing[0]}. "
                "Copy or download the model again."
            )
        return [require_whole(directory / name) for name in names]
    found = sorted(directory.glob("model*.safetensors"))
    if found:
        return [require_whole(path) for path in found]
    pickled = sorted(path.name for pattern in _PICKLES for path in directory.glob(pattern))
    if pickled:
        raise InputError(
            f"{directory}: the weights are pickled ({pickled[0]}), which can run code when loaded. "
            "Convert them to safetensors (`model.save_pretrained`)."
        )
    raise InputError(f"{directory}: no weights (model.safetensors).")


def require_whole(path: Path) -> Path:
    """The safetensors file, where it is as long as its header says; InputError where it was cut off.

    The format: eight bytes with the header's length, the header (JSON), the tensors' bytes.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length)) if length <= size else None
        except ValueError:
            header = None
    if isinstance(header, dict):
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        if size == 8 + length + max(ends, default=0):
            return path
    raise InputError(
        f"{path} is not a whole safetensors file ({size:,} bytes): a download or a copy was interrupted. "
        "Copy or download it again."
    )


def read_json(path: Path) -> dict[str, Any]:
    """A model's configuration file; empty where there is none. InputError where it is not JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error
    return content if isinstance(content, dict) else {}
