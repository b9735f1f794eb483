"""The lab's tokenizer: one token per known word, number or mark (with or without its blank), else bytes.

It is a BPE model without merges: a piece of text that is in the vocabulary is one token, anything else falls
back to bytes. Decoding any encoded text gives the text back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from puretune.store import write_text

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL = (PAD, BOS, EOS, SYSTEM, USER, ASSISTANT)

PIECE = r"\n\n|\n| ?[A-Za-z]+(?:'[a-z]+)?| ?[0-9]+| ?#+| ?[^\sA-Za-z0-9#]|\s"
"""A token's shape: line breaks, words, numbers, runs of ``#``, single marks, other white space."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""A system turn only where there is a system message; ``</s>`` after every assistant turn."""


def pieces(texts: Iterable[str]) -> list[str]:
    """The different pieces of the texts, in order of appearance."""
    found: dict[str, None] = {}
    for text in texts:
        for piece in re.findall(PIECE, text):
            found[piece] = None
    return list(found)


def vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Token -> id: special tokens, the 256 bytes, then the pieces of the texts."""
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces(texts)]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}


def save_tokenizer(out: Path, texts: Iterable[str], positions: int) -> None:
    """Writes ``tokenizer.json`` and ``tokenizer_config.json`` whose vocabulary covers the texts."""
    write_text(out / "tokenizer.json", build(vocabulary(texts)).to_str(pretty=True))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "additional_special_tokens": [SYSTEM, USER, ASSISTANT],
        "chat_template": CHAT_TEMPLATE,
        "model_max_length": positions,
        "clean_up_tokenization_spaces": False,
    }
    write_text(out / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")


def build(vocab: dict[str, int]) -> Any:
    """A ``tokenizers.Tokenizer`` over the vocabulary; adds ``<s>`` when special tokens are asked for."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    model = models.BPE(vocab=vocab, merges=[], byte_fallback=True, ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    start = (BOS, vocab[BOS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[start]
    )
    return tokenizer
