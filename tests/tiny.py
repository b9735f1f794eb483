"""Tiny random models on disk, in Hugging Face format, for the tests of every room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small_tokenizers import CHATML, LLAMA2, byte_level, sentencepiece

CONTEXT = 256


def tiny_llama(directory: Path, chat_template: bool = True, seed: int = 0, **more: Any) -> Path:
    """A random Llama of two layers, a tokenizer like Llama-2's; ``more`` are fields of its configuration."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = sentencepiece(LLAMA2 if chat_template else None)
    config = LlamaConfig(**{**_sizes(tokenizer), "num_key_value_heads": 4, **more})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _saved(LlamaForCausalLM(config), tokenizer, directory)


def tiny_qwen2(directory: Path) -> Path:
    """Grouped-query attention, biases, tied embeddings, no BOS."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = byte_level(CHATML)
    config = Qwen2Config(**_sizes(tokenizer), num_key_value_heads=2, tie_word_embeddings=True)
    return _random(Qwen2ForCausalLM, config, tokenizer, directory)


def tiny_qwen3(directory: Path) -> Path:
    """Norms of every head's queries and keys, heads of their own width."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = byte_level(CHATML)
    config = Qwen3Config(**_sizes(tokenizer), num_key_value_heads=2, head_dim=16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(config)
    for name, weight in model.named_parameters():
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            weight.data = torch.linspace(0.5, 1.5, len(weight))
    return _saved(model, tokenizer, directory)


def tiny_gpt2(directory: Path) -> Path:
    """Learned absolute positions, transposed linear layers, tied embeddings."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = byte_level(CHATML)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4)
    config.bos_token_id = config.eos_token_id = tokenizer.eos_token_id
    return _random(GPT2LMHeadModel, config, tokenizer, directory)


def tiny_mistral(directory: Path) -> Path:
    """Attention within a sliding window of eight tokens."""
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = sentencepiece(LLAMA2)
    config = MistralConfig(**_sizes(tokenizer), num_key_value_heads=2, sliding_window=8)
    return _random(MistralForCausalLM, config, tokenizer, directory)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "llama": tiny_llama,
    "qwen2": tiny_qwen2,
    "qwen3": tiny_qwen3,
    "gpt2": tiny_gpt2,
    "mistral": tiny_mistral,
}


def _sizes(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_range": 0.2,
    }


def _random(kind: Any, config: Any, tokenizer: Any, directory: Path) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _saved(kind(config), tokenizer, directory)


def _saved(model: Any, tokenizer: Any, directory: Path) -> Path:
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def tiny_base(directory: Path, **fields: Any) -> Any:
    """The model in a directory, loaded on one thread; ``fields`` are further ones of ``ModelSpec``."""
    from puretune.models import ModelSpec, load_base

    return load_base(ModelSpec(str(directory), device="cpu", threads=1, **fields))


@pytest.fixture(scope="session")
def llama_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="session")
def llama(llama_path: Path) -> Any:
    """A loaded tiny Llama. Tests leave it as they found it."""
    return tiny_base(llama_path)
