"""A base model in memory: frozen weights, tokenizer, renderer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puretune.errors import EnvironmentFault, InputError
from puretune.models._fingerprint import fingerprint
from puretune.models._hardware import DEFAULT_THREADS, resolved_device, resolved_dtype
from puretune.models._quantize import quantized_loading
from puretune.models._resolve import read_json, resolve_model_path
from puretune.models._types import ModelSpec
from puretune.templates import Renderer, markup_named

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
    def dtype_name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.model.dtype).removeprefix("torch.")


def load_base(spec: ModelSpec, renderer: Renderer | None = None) -> BaseModel:
    """Loads the model that ``spec`` describes onto its device, from safetensors only.

    Sets torch's number of CPU threads. EnvironmentFault where the device is missing or has too little memory.
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
    """The transformers model in a directory, frozen, in evaluation mode, held as ``spec`` says."""
    import torch

    torch.set_num_threads(spec.threads or DEFAULT_THREADS)
    device, dtype = _checked_device(resolved_device(spec)), getattr(torch, resolved_dtype(spec))
    quantized = quantized_loading(spec, dtype, device)
    with quiet():
        from transformers import AutoModelForCausalLM

        try:
            model = AutoModelForCausalLM.from_pretrained(
                str(path),
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=spec.trust_remote_code,
                local_files_only=True,
                **quantized,
            )
            model = model if quantized else model.to(device)
        except torch.OutOfMemoryError as error:
            raise EnvironmentFault(f"{path}: not enough memory on {device} for the weights.") from error
        except (ValueError, OSError, KeyError) as error:
            raise InputError(f"{path}: transformers cannot load this model: {error}") from error
    return model.eval().requires_grad_(False)


def load_tokenizer(spec: ModelSpec) -> Any:
    """The model's tokenizer (Hugging Face, fast where there is one)."""
    path = resolve_model_path(spec, weights=False, config=False)
    plain = _is_plain(path)
    with quiet():
        if plain:
            from transformers import PreTrainedTokenizerFast as Loader
        else:
            from transformers import AutoTokenizer as Loader
        # no other format where a further package is installed: the same files are the same tokens everywhere
        options = {} if plain else {"trust_remote_code": spec.trust_remote_code, "mistral_format": False}
        try:
            return Loader.from_pretrained(str(path), local_files_only=True, **options)
        except (ValueError, OSError, KeyError, ImportError) as error:
            raise InputError(f"{path}: transformers cannot load this tokenizer: {error}") from error


def _is_plain(path: Path) -> bool:
    stated = read_json(path / "tokenizer_config.json").get("tokenizer_class")
    family = read_json(path / "config.json").get("model_type")
    known = family in _PLAIN_FAMILIES or family is None
    return stated in _PLAIN_CLASSES and known and (path / "tokenizer.json").is_file()


def renderer_for(spec: ModelSpec) -> Renderer:
    """The renderer of the model: its tokenizer, the markup of the spec, every id that ends an answer."""
    tokenizer = load_tokenizer(spec)
    path = resolve_model_path(spec, weights=False, config=False)
    stated = read_json(path / "generation_config.json").get("eos_token_id")
    stated = read_json(path / "config.json").get("eos_token_id") if stated is None else stated
    stops = stated if isinstance(stated, list) else [stated] if stated is not None else []
    return Renderer(tokenizer, markup_named(spec.markup, tokenizer, spec.default_system), stops)


def context_length(path: Path) -> int:
    """The longest sequence that the configuration in a directory allows, in tokens."""
    config = read_json(path / "config.json")
    text = {**config, **config.get("text_config", {})}
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")
    stated = [text[name] for name in names if isinstance(text.get(name), int)]
    return stated[0] if stated else UNLIMITED


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without its progress bars and advice, while the block runs."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _checked_device(device: str) -> str:
    import torch

    kind, _, number = device.partition(":")
    if kind == "cuda" and not (torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count()):
        raise EnvironmentFault(f"device {device!r}: torch sees no such GPU. Use `device: cpu`.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise EnvironmentFault("device 'mps': torch does not offer it on this machine. Use `device: cpu`.")
    return device
