"""A model's tokenizer, renderer and context, without its weights and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.models._json_files import read_config, read_tokenizer_config, stop_ids, vocabulary_size
from puretune.models._library_errors import quiet, reading
from puretune.models._resolve import resolve_model_path
from puretune.models._types import ModelSpec
from puretune.templates import Renderer, markup_named
from puretune.visible import quoted, visible

UNLIMITED = 1 << 30
"""The context of a model that states none, in tokens."""
# Tokenizers that tokenizer.json describes wholly: loaded by their class, torch stays out. Only for Llama's
# family, because AutoTokenizer overrides the stated class for others (Qwen2's, for one).
_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
_PLAIN_FAMILIES = ("llama",)


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
