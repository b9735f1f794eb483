"""Small random models in the real formats of today's families, for the tests of every room.

Each has its family's architecture (a few hundred thousand parameters), its tokenizer's structure (byte-level
or sentencepiece-like, BOS or none, added tokens, several EOS ids in ``generation_config.json``) and a chat
template in the family's style (``chat_templates/``), saved as the hub has them:

    path = families.save("qwen3", tmp_path / "model")
    base = families.load("qwen3", path)                     # a puretune BaseModel on one thread
    recipe = Recipe(targets=families.targets("phi-3"))      # Phi-3 has one layer for queries, keys and values
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import family_tokenizers as tokenizers

CONTEXT = 1024
_TEMPLATES = Path(__file__).parent / "chat_templates"


@dataclass(frozen=True)
class Family:
    """What makes a family: its transformers classes, its tokenizer, its chat template."""

    architecture: str
    """``X`` of transformers' ``XConfig`` and ``XForCausalLM``."""
    tokenizer: Callable[[], Any]
    tokenizer_class: str
    """As ``tokenizer_config.json`` states it."""
    chat_template: str
    stops: tuple[str, ...]
    """``eos_token_id`` of ``generation_config.json``."""
    config: dict[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    system: bool = True
    """Whether the chat template takes a system message."""
    default_system: bool = False
    """Whether the chat template writes a system message that nobody asked for."""


FAMILIES: dict[str, Family] = {
    "llama-2": Family("Llama", tokenizers.llama_2, "LlamaTokenizer", "llama-2", ("</s>",)),
    "llama-3": Family(
        "Llama",
        tokenizers.llama_3,
        "PreTrainedTokenizerFast",
        "llama-3.1",
        ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}},
        default_system=True,
    ),
    "mistral": Family(
        "Mistral",
        tokenizers.llama_2,
        "LlamaTokenizer",
        "mistral",
        ("</s>",),
        {"sliding_window": 64},
        system=False,
    ),
    "mixtral": Family(
        "Mixtral",
        tokenizers.llama_2_chatml,
        "LlamaTokenizer",
        "chatml",
        ("<|im_end|>",),
        {"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 96},
    ),
    "qwen2": Family(
        "Qwen2",
        tokenizers.qwen,
        "Qwen2Tokenizer",
        "qwen2.5",
        ("<|im_end|>", "<|endoftext|>"),
        {"tie_word_embeddings": True},
        default_system=True,
    ),
    "qwen3": Family(
        "Qwen3",
        tokenizers.qwen,
        "Qwen2Tokenizer",
        "qwen3",
        ("<|im_end|>", "<|endoftext|>"),
        {"head_dim": 24, "tie_word_embeddings": True},
    ),
    "gemma": Family(
        "Gemma2",
        tokenizers.gemma,
        "GemmaTokenizer",
        "gemma",
        ("<eos>", "<end_of_turn>"),
        {"head_dim": 24, "sliding_window": 64, "query_pre_attn_scalar": 24, "initializer_range": 0.02},
        system=False,
    ),
    "phi-3": Family(
        "Phi3",
        tokenizers.phi_3,
        "LlamaTokenizer",
        "phi-3",
        ("<|endoftext|>", "<|assistant|>", "<|end|>"),
        targets=("qkv_proj",),
    ),
}

NAMES: tuple[str, ...] = tuple(FAMILIES)


def save(name: str, directory: Path, seed: int = 0) -> Path:
    """A random model of that family with its tokenizer, in a directory as the hub has it."""
    import torch
    import transformers

    family = FAMILIES[name]
    tokenizer = save_tokenizer(name, directory)
    config = getattr(transformers, f"{family.architecture}Config")(**{**_sizes(tokenizer), **family.config})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, f"{family.architecture}ForCausalLM")(config)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(family.stops))
    model.save_pretrained(directory)
    return directory


def save_tokenizer(name: str, directory: Path) -> Any:
    """Only the tokenizer and its chat template; returns the tokenizer."""
    family = FAMILIES[name]
    tokenizer = family.tokenizer()
    tokenizer.chat_template = chat_template(family.chat_template)
    tokenizer.save_pretrained(directory)
    path = directory / "tokenizer_config.json"
    stated = {**json.loads(path.read_text()), "tokenizer_class": family.tokenizer_class}
    path.write_text(json.dumps(stated, indent=2))
    return tokenizer


def chat_template(name: str) -> str:
    """A chat template of ``chat_templates/``."""
    return (_TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")


def load(name: str, directory: Path, **fields: Any) -> Any:
    """The saved model as a ``BaseModel`` on one thread; ``fields`` are further ones of ``ModelSpec``."""
    from tests.tiny import tiny_base

    return tiny_base(directory, **fields)


def targets(name: str) -> tuple[str, ...]:
    """The attention layers of the paper's recipe (queries and values), as the family calls them."""
    return FAMILIES[name].targets


def _sizes(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.2,
    }
