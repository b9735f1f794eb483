"""What the JSON files of a model directory may say: types and bounds of the fields that decide anything.

transformers checks some of this, late and in its own words; some of it (a vocabulary of 0, a stop id that is
no token) it takes. Fields that are not named here are left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.files import kind_of, read_mapping
from puretune.visible import one_line, visible

CONFIG = "config.json"
GENERATION = "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
_SPECIAL_TOKENS = "special_tokens_map.json"
_ADDED_TOKENS = "added_tokens.json"
_CHAT_TEMPLATE = "chat_template.json"

_SIZES: Mapping[str, int] = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "n_embd", "n_inner", "d_model"), 1 << 22),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers"), 10_000),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "n_head", "head_dim"), 1 << 16),
    **dict.fromkeys(("vocab_size",), 1 << 24),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"), 1 << 30),
    **dict.fromkeys(("max_sequence_length",), 1 << 30),
}
"""Whole numbers from 1; the largest that is believed."""
_POSITIVE = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "rope_theta")
_SHARES = ("attention_dropout", "hidden_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop")
_SWITCHES = ("attention_bias", "mlp_bias", "tie_word_embeddings")
_MAPPINGS = ("text_config", "rope_scaling", "rope_parameters", "quantization_config", "auto_map")
_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
_FOREIGN_WEIGHTS = "transformers_weights"
"""A key with which transformers reads other files than those whose digests are in every key."""
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_LARGEST_ID = 1 << 24

Check = Callable[[Any], str]
"""A value -> what it should be, or nothing if it is that."""


def read_config(directory: Path) -> dict[str, Any]:
    """``config.json``, checked; empty if there is none. InputError names the file and the key."""
    file = directory / CONFIG
    content = optional_mapping(file)
    _check(file, content, _CONFIG_CHECKS)
    if _FOREIGN_WEIGHTS in content:
        raise InputError(
            f"{visible(file)}: `{_FOREIGN_WEIGHTS}` is not supported. Remove it, and call the weights "
            "model.safetensors."
        )
    text = content.get("text_config") or {}
    _check(file, text, _CONFIG_CHECKS, "text_config.")
    for part, where in ((content, ""), (text, "text_config.")):
        _check_heads(file, part, where)
    vocabulary = text.get("vocab_size", content.get("vocab_size"))
    if isinstance(vocabulary, int):
        _check_ids(file, content, vocabulary)
    return content


def read_generation_config(directory: Path, vocabulary: int | None = None) -> dict[str, Any]:
    """``generation_config.json``, checked; empty if there is none. ``vocabulary``: the model's size."""
    file = directory / GENERATION
    content = optional_mapping(file)
    _check(file, content, dict.fromkeys(_IDS, _id_or_ids))
    _check_ids(file, content, vocabulary or _LARGEST_ID)
    return content


def read_tokenizer_config(directory: Path) -> dict[str, Any]:
    """``tokenizer_config.json``, checked with the files beside it that say the same things; empty where
    there is none."""
    for name in (_SPECIAL_TOKENS, TOKENIZER_CONFIG):
        _check(directory / name, optional_mapping(directory / name), _TOKENIZER_CHECKS)
    added = optional_mapping(directory / _ADDED_TOKENS)
    _check(directory / _ADDED_TOKENS, added, dict.fromkeys(added, _token_id))
    _check(directory / _CHAT_TEMPLATE, optional_mapping(directory / _CHAT_TEMPLATE), _TOKENIZER_CHECKS)
    return optional_mapping(directory / TOKENIZER_CONFIG)


def vocabulary_size(config: Mapping[str, Any]) -> int | None:
    """Rows of the embedding, as the configuration states them."""
    text = config.get("text_config") or {}
    stated = text.get("vocab_size", config.get("vocab_size"))
    return stated if isinstance(stated, int) else None


def stop_ids(directory: Path, config: Mapping[str, Any]) -> list[int]:
    """The ids that end an answer, as the model's files state them."""
    stated = read_generation_config(directory, vocabulary_size(config)).get("eos_token_id")
    stated = config.get("eos_token_id") if stated is None else stated
    return list(stated) if isinstance(stated, list) else [stated] if stated is not None else []


def optional_mapping(path: Path) -> dict[str, Any]:
    """The mapping in one of a model's JSON files; empty if there is no such file."""
    return read_mapping(path, "model file", infinite=True) if path.exists() else {}


def _check(file: Path, content: Mapping[str, Any], checks: Mapping[str, Check], where: str = "") -> None:
    for key, check in checks.items():
        if key in content and (wanted := check(content[key])):
            raise InputError(
                f"{visible(file)}: `{where}{one_line(key, 60)}` must be {wanted}, "
                f"not {kind_of(content[key])}. Correct it, or copy the file again."
            )


def _check_heads(file: Path, config: Mapping[str, Any], where: str) -> None:
    """Whether the sizes of attention fit each other, where the configuration states them."""
    sizes = [config.get(key) for key in ("hidden_size", "num_attention_heads", "num_key_value_heads")]
    size, heads, key_heads = (one if isinstance(one, int) else None for one in sizes)
    if size and heads and config.get("head_dim") is None and size % heads:
        raise InputError(
            f"{visible(file)}: `{where}hidden_size` ({size:,}) is not a multiple of "
            f"`num_attention_heads` ({heads:,}). Correct it, or copy the file again."
        )
    if heads and key_heads and heads % key_heads:
        raise InputError(
            f"{visible(file)}: `{where}num_attention_heads` ({heads:,}) is not a multiple of "
            f"`num_key_value_heads` ({key_heads:,}). Correct it, or copy the file again."
        )


def _check_ids(file: Path, content: Mapping[str, Any], vocabulary: int) -> None:
    for key in _IDS:
        stated = content.get(key)
        least = -1 if key == "pad_token_id" else 0  # early Llama configurations pad with -1
        for number in stated if isinstance(stated, list) else [stated]:
            if number is not None and not least <= number < vocabulary:
                raise InputError(
                    f"{visible(file)}: `{key}` {number:,} is not a token: the model has ids 0 to "
                    f"{vocabulary - 1:,}. Correct it, or copy the file again."
                )


def _size(largest: int) -> Check:
    def check(value: Any) -> str:
        numbers: Sequence[Any] = value if isinstance(value, list) and value else [value]
        fine = all(_is_whole(number) and 1 <= number <= largest for number in numbers)
        return "" if value is None or fine else f"a whole number from 1 to {largest:,}"

    return check


def _positive(value: Any) -> str:
    return "" if value is None or (_is_number(value) and 0 < value < 1e30) else "a number above 0"


def _length(value: Any) -> str:
    return "" if value is None or (_is_number(value) and value >= 1) else "a number of tokens"


def _share(value: Any) -> str:
    return "" if value is None or (_is_number(value) and 0 <= value <= 1) else "a number from 0 to 1"


def _switch(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _mapping(value: Any) -> str:
    return "" if value is None or isinstance(value, dict) else "a mapping"


def _word(value: Any) -> str:
    return "" if value is None or isinstance(value, str) else "a text"


def _words(value: Any) -> str:
    fine = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return "" if value is None or fine else "a list of texts"


def _token(value: Any) -> str:
    fine = isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("content"), str))
    return "" if value is None or fine else "a token (a text, or a mapping with `content`)"


def _special_tokens(value: Any) -> str:
    items = value.values() if isinstance(value, dict) else value
    fine = isinstance(value, dict | list) and not any(item is None or _token(item) for item in items)
    return "" if value is None or fine else "a list of tokens, or a mapping of names to tokens"


def _added_tokens(value: Any) -> str:
    fine = isinstance(value, dict) and all(
        key.isascii() and key.isdigit() and not _token_id(int(key)) and item is not None and not _token(item)
        for key, item in value.items()
    )
    return "" if value is None or fine else "a mapping of token ids to tokens"


def _token_id(value: Any) -> str:
    return "" if _is_whole(value) and 0 <= value < _LARGEST_ID else "a token id (a whole number from 0)"


def _id_or_ids(value: Any) -> str:
    numbers = value if isinstance(value, list) else [value]
    return "" if value is None or all(map(_is_whole, numbers)) else "a token id, or a list of token ids"


def _chat_template(value: Any) -> str:
    named = isinstance(value, list) and all(_is_named_template(item) for item in value)
    fine = value is None or isinstance(value, str) or named
    return "" if fine else "a text, or a list of mappings with `name` and `template`"


def _is_named_template(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("name", "template"))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flag(value: Any) -> str:
    return "" if value is None else _switch(value)


def _checks(*groups: tuple[Sequence[str], Check]) -> Iterator[tuple[str, Check]]:
    for names, check in groups:
        yield from ((name, check) for name in names)


_CONFIG_CHECKS: Mapping[str, Check] = {
    **{name: _size(largest) for name, largest in _SIZES.items()},
    **dict(
        _checks(
            (_POSITIVE, _positive),
            (_SHARES, _share),
            (_SWITCHES, _switch),
            (("use_cache", "use_sliding_window"), _flag),
            (_MAPPINGS, _mapping),
            (("model_type", "hidden_act", "hidden_activation"), _word),
            (("architectures",), _words),
            (_IDS, _id_or_ids),
        )
    ),
}
_TOKENIZER_CHECKS: Mapping[str, Check] = dict(
    _checks(
        (_TOKENS, _token),
        (("additional_special_tokens", "extra_special_tokens"), _special_tokens),
        (("added_tokens_decoder",), _added_tokens),
        (("chat_template",), _chat_template),
        (("add_bos_token", "add_eos_token", "add_prefix_space", "legacy"), _flag),
        (("tokenizer_class",), _word),
        (("model_max_length",), _length),
    )
)
