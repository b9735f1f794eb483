"""A model of a known shape with random weights, on its device, and prompts of exact lengths for it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.lengths import Pairs

from puretune.data import Example, question
from puretune.models import BaseModel, ModelSpec
from puretune.templates import Message, PromptTemplate, Renderer

SHAPES: dict[str, dict[str, Any]] = {
    "llama-2-7b": {},
    "llama-3-8b": {
        "vocab_size": 128256,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
        "max_position_embeddings": 8192,
    },
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 2048,
    },
}
"""Fields of ``LlamaConfig`` that differ from its defaults, which are Llama-2-7B's."""

PREFIXES = {"text:vanilla": 3, "text:alpaca": 28, "chat:vanilla": 6, "chat:alpaca": 41, "chat:llama": 127}
"""Tokens that all rows of the paper's templates share, counted with a 32,000-token Llama-style vocabulary."""


class Unstoppable(Renderer):
    """Nothing ends an answer but its length: real lengths are imposed."""

    stop_ids = frozenset()  # type: ignore[assignment]


def random_base(shape: str, device: str, dtype: str, directory: Path, seed: int = 0) -> BaseModel:
    """The model, with a tokenizer in which every word is one token."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**SHAPES[shape], bos_token_id=1, eos_token_id=2, pad_token_id=0)
    tokenizer = _words(config.vocab_size)
    config.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    torch.manual_seed(seed)
    with torch.device(device):
        model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    return BaseModel(
        model=model.eval().requires_grad_(False),
        tokenizer=tokenizer,
        renderer=Renderer(tokenizer),
        context_length=config.max_position_embeddings,
        fingerprint=f"random {shape} {dtype} {seed}",
        spec=ModelSpec(str(directory), dtype=dtype, device=device),  # type: ignore[arg-type]
        path=directory,
    )


def _words(size: int) -> Any:
    """``w7`` is token 7; a text is its words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>"]
    names = [*special, *(f"w{place}" for place in range(len(special), size))]
    built = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    built.decoder = decoders.Fuse()
    built.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=built, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<unk>"
    )


def templates(vocabulary: int) -> Iterator[PromptTemplate]:
    """One template per entry of ``PREFIXES``, the beginning-of-sequence token counted in."""
    for name, length in PREFIXES.items():
        text = _text(random.Random(name), length - 1, vocabulary)
        yield PromptTemplate(name, mode="text", system=text)


def examples(pairs: Pairs, vocabulary: int, answered: bool) -> tuple[Example, ...]:
    """One example per pair of lengths; the first words differ, so that nothing else is shared."""
    made = []
    for place, (asked, answer) in enumerate(pairs):
        words = random.Random(place)
        first = f"w{3 + place % (vocabulary - 3)} "
        query = first + _text(words, asked - 1, vocabulary)
        turns = [Message("assistant", _text(words, answer - 1, vocabulary))] if answered else []
        made.append(_with(question(f"{place}", query), turns))
    return tuple(made)


def _with(asked: Example, turns: Sequence[Message]) -> Example:
    return Example(asked.id, (*asked.messages, *turns), asked.cluster, asked.metadata)


def _text(words: random.Random, number: int, vocabulary: int) -> str:
    return " ".join(f"w{words.randrange(3, vocabulary)}" for _ in range(max(1, number)))
