"""Writes a small GGUF file from a tiny Qwen2 directory, with the package that everybody writes them with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_gguf(model: Path, file: Path, kind: str = "F32", architecture: str = "qwen2") -> Path:
    """The model of a directory as one file; matrices in the number format ``kind`` (``Q8_0``, ``Q4_1``)."""
    import gguf

    writer = gguf.GGUFWriter(str(file), architecture)
    config = json.loads((model / "config.json").read_text())
    _sizes(writer, config)
    _tokenizer(writer, model)
    _tensors(writer, model, config, gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _sizes(writer: Any, config: dict[str, Any]) -> None:
    writer.add_name("tiny")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])


def _tokenizer(writer: Any, model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    content = json.loads((model / "tokenizer.json").read_text())
    ids = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = set(tokenizer.all_special_tokens) | {one["content"] for one in content["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in ids])
    writer.add_token_types([3 if token in special else 1 for token, _ in ids])
    merges = content["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(False)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)


def _tensors(writer: Any, model: Path, config: dict[str, Any], kind: Any) -> None:
    import gguf
    from safetensors.torch import load_file

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    for name, tensor in load_file(model / "model.safetensors").items():
        stem, _, end = name.rpartition(".")
        numbers = tensor.float().numpy()
        if numbers.ndim == 2 and kind != gguf.GGMLQuantizationType.F32:
            packed = gguf.quantize(numbers, kind)
            writer.add_tensor(f"{names.get_name(stem)}.{end}", packed, raw_dtype=kind)
        else:
            writer.add_tensor(f"{names.get_name(stem)}.{end}", numbers)
