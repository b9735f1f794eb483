"""A base model in memory: frozen weights, tokenizer, renderer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puretune import memory
from puretune.errors import EnvironmentFault, InputError, PuretuneError
from puretune.models._fields import (
    CONFIG,
    GENERATION,
    read_config,
    read_tokenizer_config,
    stop_ids,
    vocabulary_size,
)
from puretune.models._fingerprint import fingerprint
from puretune.models._foreign import SMALLER, quiet, reading, reason
from puretune.models._hardware import resolved_device, resolved_dtype, resolved_threads
from puretune.models._loaded_weights import check_loaded, check_shapes
from puretune.models._quantize import quantized_loading, try_quantized
from puretune.models._resolve import check_weights, resolve_model_path
from puretune.models._types import ModelSpec
from puretune.models._weights import TensorInfo, tensors_of
from puretune.templates import Renderer, markup_named
from puretune.visible import one_line, quoted, visible

UNLIMITED = 1 << 30
"""The context of a model that states none, in tokens."""
# Tokenizers that tokenizer.json describes wholly: loaded by their class, torch stays out. Only for Llama's
# family, because AutoTokenizer overrides the stated class for others (Qwen2's, for one).
_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
_PLAIN_FAMILIES = ("llama",)


@dataclass(frozen=True)
class BaseModel:
    """A frozen base model. Nobody changes it for good: adapters are put on it and taken off again."""

    model: Any = field(repr=False)
    """The transformers model, in evaluation mode, no parameter requiring a gradient."""
    tokenizer: Any = field(repr=False)
    renderer: Renderer = field(repr=False)
    context_length: int
    """Longest sequence in tokens, prompt and answer together."""
    fingerprint: str
    spec: ModelSpec
    path: Path

    @property
    def device(self) -> Any:
        """The ``torch.device`` of the weights."""
        return self.model.device

    @property
    def device_type(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return str(self.model.device.type)

    @property
    def threads(self) -> int | None:
        """CPU threads that make its sums; None on a GPU."""
        import torch

        return torch.get_num_threads() if self.device_type == "cpu" else None

    @property
    def dtype_name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.model.dtype).removeprefix("torch.")


def load_base(spec: ModelSpec, renderer: Renderer | None = None) -> BaseModel:
    """Loads the model that ``spec`` describes onto its device, from safetensors only.

    Sets torch's number of CPU threads. EnvironmentFault if the device is missing or has too little memory.
    """
    path = resolve_model_path(spec)
    renderer = renderer or renderer_for(spec)
    return BaseModel(
        model=load_model(path, spec),
        tokenizer=renderer.tokenizer,
        renderer=renderer,
        context_length=context_length(path),
        fingerprint=fingerprint(spec),
        spec=spec,
        path=path,
    )


def load_model(path: Path, spec: ModelSpec) -> Any:
    """The transformers model in a directory, frozen, in evaluation mode, held as ``spec`` says.

    InputError if a file says what it may not, or weights are missing, left over or not finite;
    EnvironmentFault if memory is short.
    """
    stored = tensors_of(check_weights(path))
    with memory.enough(f"load {path}", SMALLER):
        import torch

        torch.set_num_threads(resolved_threads(spec, path))
        device, dtype = _checked_device(resolved_device(spec)), getattr(torch, resolved_dtype(spec))
        quantized = quantized_loading(spec, dtype, device)
        with quiet(), reading(path, "model"):
            model, info = _load(path, spec, stored, dtype, device, quantized)
        check_loaded(path, model, info)
        if quantized:
            try_quantized(model, spec)
    return model.eval().requires_grad_(False)


def _load(
    path: Path, spec: ModelSpec, stored: Mapping[str, TensorInfo], dtype: Any, device: str, quantized: Any
) -> tuple[Any, Mapping[str, Any]]:
    """The model and what transformers says about its loading, after the files have been tried in turn."""
    from transformers import AutoModelForCausalLM

    config = load_config(path, spec.trust_remote_code)
    if not spec.trust_remote_code:
        check_shapes(path, without_weights(path, config), stored)
    _try_generation_config(path)
    if not quantized and device == "cpu":
        numbers = sum(info.elements for info in stored.values())
        memory.require(numbers * dtype.itemsize, f"the model in {path} ({numbers:,} weights)", SMALLER)
    model, info = AutoModelForCausalLM.from_pretrained(
        str(path),
        config=config,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=spec.trust_remote_code,
        local_files_only=True,
        ignore_mismatched_sizes=True,  # they are named with the missing ones
        output_loading_info=True,
        **quantized,
    )
    return (model if quantized else model.to(device)), info


def load_config(path: Path, trust_remote_code: bool = False) -> Any:
    """transformers' configuration of the model in a directory. InputError names the key that it cannot be
    made with."""
    from transformers import AutoConfig

    read_config(path)
    try:
        return AutoConfig.from_pretrained(
            str(path), local_files_only=True, trust_remote_code=trust_remote_code
        )
    except Exception as error:
        raise _config_fault(path, error) from error


def without_weights(path: Path, config: Any, trust_remote_code: bool = False) -> Any:
    """The model that a configuration describes, without memory for its weights (torch's device ``meta``).
    InputError names the key that it cannot be built with."""
    try:
        return _built(config, trust_remote_code)
    except Exception as error:
        raise _config_fault(path, error) from error


def _built(config: Any, trust_remote_code: bool = False) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)


def _config_fault(path: Path, error: Exception) -> PuretuneError:
    """What a configuration's error means, with the key without which transformers can build the model."""
    from transformers import CONFIG_MAPPING, __version__

    content, file = read_config(path), visible(path / CONFIG)
    kind = content.get("model_type")
    if memory.is_shortage(error):
        return memory.shortage(f"load {visible(path)}", SMALLER)
    if kind not in CONFIG_MAPPING:
        return InputError(
            f"{file}: transformers {__version__} does not know the `model_type` {quoted(kind, 60)}. "
            "Update transformers, or correct it."
        )

    def works(fields: Mapping[str, Any]) -> bool:
        try:
            return _built(CONFIG_MAPPING[kind].from_dict(dict(fields))) is not None
        except Exception:
            return False

    key = next((key for key in content if works({k: v for k, v in content.items() if k != key})), None)
    return InputError(
        f"{file}: {f'`{one_line(key, 60)}`: ' if key else ''}this model cannot be loaded: {reason(error)}. "
        "Correct it, or copy the file again."
    )


def _try_generation_config(path: Path) -> None:
    from transformers import GenerationConfig

    if (path / GENERATION).exists():
        with reading(path / GENERATION, "file"):
            GenerationConfig.from_pretrained(str(path), local_files_only=True)


def load_tokenizer(spec: ModelSpec) -> Any:
    """The model's tokenizer (Hugging Face, fast if there is one), tried on a text."""
    path = resolve_model_path(spec, weights=False, config=False)
    return tokenizer_in(path, spec.trust_remote_code)


def tokenizer_in(path: Path, trust_remote_code: bool = False) -> Any:
    """The tokenizer in a directory; see :func:`load_tokenizer`."""
    plain = _is_plain(path)
    with quiet(), reading(path, "tokenizer"):
        if plain:
            from transformers import PreTrainedTokenizerFast as Loader
        else:
            from transformers import AutoTokenizer as Loader
        # no other format where a further package is installed: the same files are the same tokens everywhere
        options = {} if plain else {"trust_remote_code": trust_remote_code, "mistral_format": False}
        tokenizer = Loader.from_pretrained(str(path), local_files_only=True, **options)
        _try_tokenizer(tokenizer)
    _check_vocabulary(path, tokenizer)
    return tokenizer


def _try_tokenizer(tokenizer: Any) -> None:
    """Some files load and cannot be used."""
    ids = tokenizer("Some text, 12 3.\n")["input_ids"]
    if not ids or not all(isinstance(number, int) for number in ids):
        raise ValueError("it produces no tokens for a text")
    tokenizer.decode(ids)


def _check_vocabulary(path: Path, tokenizer: Any) -> None:
    """InputError if the tokenizer has a token that the embedding has no row for."""
    rows = vocabulary_size(read_config(path))
    ids: Mapping[str, int] = tokenizer.get_vocab()
    beyond = {token: number for token, number in ids.items() if rows is not None and number >= rows}
    if rows is not None and beyond:
        first = min(beyond, key=lambda token: beyond[token])
        raise InputError(
            f"{visible(path)}: the tokenizer has {len(ids):,} tokens, and the model's embedding has only "
            f"{rows:,} rows (`vocab_size` in config.json): token {quoted(first, 60)} has id "
            f"{beyond[first]:,}. Resize the model's embedding to the tokenizer, or restore the tokenizer "
            "that the model was made with."
        )


def _is_plain(path: Path) -> bool:
    stated = read_tokenizer_config(path).get("tokenizer_class")
    family = read_config(path).get("model_type")
    known = family in _PLAIN_FAMILIES or family is None
    return stated in _PLAIN_CLASSES and known and (path / "tokenizer.json").is_file()


def renderer_for(spec: ModelSpec) -> Renderer:
    """The renderer of the model: its tokenizer, the markup of the spec, every id that ends an answer."""
    tokenizer = load_tokenizer(spec)
    path = resolve_model_path(spec, weights=False, config=False)
    stops = stop_ids(path, read_config(path))
    markup = markup_named(spec.markup, tokenizer, spec.default_system)
    return Renderer(tokenizer, markup, stops, spec.thoughts)


def context_length(path: Path) -> int:
    """The longest sequence that the configuration in a directory allows, in tokens."""
    config = read_config(path)
    text = {**config, **(config.get("text_config") or {})}
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")
    stated = [text[name] for name in names if isinstance(text.get(name), int)]
    return stated[0] if stated else UNLIMITED


def _checked_device(device: str) -> str:
    import torch

    kind, _, number = device.partition(":")
    if kind == "cuda" and not (torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count()):
        raise EnvironmentFault(f"device {device!r}: torch sees no such GPU. Use `device: cpu`.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise EnvironmentFault("device 'mps': torch does not offer it on this machine. Use `device: cpu`.")
    return device
