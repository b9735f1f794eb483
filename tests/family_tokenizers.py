"""Small tokenizers with the files of real families, trained on a few lines of text.

What is real is the structure: normaliser, pre-tokeniser, post-processor, decoder, added tokens, their flags.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from tests.small_tokenizers import TEXT

_BYTES = [f"<0x{b:02X}>" for b in range(256)]
_GPT4_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_SPLIT = _GPT4_SPLIT.replace("{1,3}", "")


def llama_2() -> Any:
    """BPE over sentencepiece's pieces with byte fallback; ``▁`` put in front; BOS by the post-processor."""
    return _wrapped(_pieces(("<unk>", "<s>", "</s>")), unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def llama_2_chatml() -> Any:
    """Llama-2's with ChatML's two tokens added, as Mixtral's fine-tunes have it."""
    added = [AddedToken(t, special=True, normalized=False) for t in ("<|im_end|>", "<|im_start|>")]
    pieces = _pieces(("<unk>", "<s>", "</s>"), added)
    return _wrapped(pieces, unk_token="<unk>", bos_token="<s>", eos_token="<|im_end|>", pad_token="</s>")


def phi_3() -> Any:
    """Llama-2's with role tokens that swallow the white space after them, and no BOS."""
    spelled = ("<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>")
    added = [AddedToken(t, special=True, normalized=False, rstrip=t != "<|endoftext|>") for t in spelled]
    pieces = _pieces(("<unk>", "<s>", "</s>"), added)
    pieces.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    ends = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    return _wrapped(pieces, unk_token="<unk>", bos_token="<s>", add_bos_token=False, **ends)


def gemma() -> Any:
    """BPE with byte fallback on blanks spelled ``▁``, nothing in front; the turn tokens are part of it."""
    first = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>")
    pieces = _pieces(first, bos="<bos>")
    pieces.normalizer = normalizers.Replace(" ", "▁")
    pieces.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    pieces.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return _wrapped(pieces, unk_token="<unk>", bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


def llama_3() -> Any:
    """Byte-level BPE with reserved tokens after the vocabulary; BOS by the post-processor."""
    spelled = ("begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eom_id", "eot_id")
    coded = _byte_level(_GPT4_SPLIT, [f"<|{name}|>" for name in spelled])
    bos = "<|begin_of_text|>"
    single = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, coded.token_to_id(bos))])
    coded.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), single])
    return _wrapped(coded, bos_token=bos, eos_token="<|eot_id|>")


def qwen() -> Any:
    """Byte-level BPE of one digit a token, NFC, no BOS; the marks of thoughts are added but not special."""
    coded = _byte_level(_QWEN_SPLIT, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    coded.normalizer = normalizers.NFC()
    coded.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    return _wrapped(coded, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def _wrapped(tokenizer: Tokenizer, **names: Any) -> Any:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=1 << 20, **names)


def _pieces(first: Sequence[str], added: Sequence[AddedToken] = (), bos: str = "<s>") -> Tokenizer:
    """Sentencepiece-like BPE with ``first`` as its first ids, as Llama-2's tokenizer.json has it."""
    tokenizer = Tokenizer.from_str(_trained_pieces(tuple(first)))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    tokenizer.add_special_tokens(list(added))
    return tokenizer


@cache
def _trained_pieces(first: tuple[str, ...]) -> str:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    # a new line is a byte and never part of a longer piece, as in the real vocabularies
    lines = pre_tokenizers.Split("\n", "removed")
    words = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([lines, words])
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=[*first, *_BYTES], initial_alphabet=["▁"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] in first]
    content["pre_tokenizer"] = None
    return json.dumps(content)


def _byte_level(split: str, special: Sequence[str]) -> Tokenizer:
    """Byte-level BPE on the words that ``split`` finds, with ``special`` as the ids after the vocabulary."""
    tokenizer = Tokenizer.from_str(_trained_bytes(split))
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    return tokenizer


@cache
def _trained_bytes(split: str) -> str:
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(split), "isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return str(tokenizer.to_str())
