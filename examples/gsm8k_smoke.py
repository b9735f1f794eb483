"""Prepares configs/gsm8k-smoke.yaml: a BPE tokenizer trained on GSM8K's text, a small random Llama, the data.

    python examples/gsm8k_smoke.py --data DIRECTORY   # with gsm8k_train.jsonl and gsm8k_test.jsonl
    python examples/gsm8k_smoke.py                    # no GSM8K at hand: a small sample in its format

The model is in Hugging Face format and has the structure of Llama-2 (tokenizer with byte fallback, chat
template, safetensors), so the study takes the code path that a 7B model takes.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from pathlib import Path

CHAT_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for m in turns %}{% if m['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + m['content'].strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
FILES = {"train": "gsm8k_train.jsonl", "test": "gsm8k_test.jsonl"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="directory with gsm8k_train.jsonl and gsm8k_test.jsonl")
    parser.add_argument("--out", type=Path, default=Path("runs/gsm8k-smoke"))
    arguments = parser.parse_args()
    print(prepare(arguments.out, arguments.data), file=sys.stderr)


def prepare(out: Path, data: Path | None) -> str:
    """Writes ``out/data`` and ``out/model``; returns one sentence that says where the text is from."""
    (out / "data").mkdir(parents=True, exist_ok=True)
    for split, name in FILES.items():
        if data is None:
            lines = "".join(json.dumps(row) + "\n" for row in sample(split))
            (out / "data" / name).write_text(lines, encoding="utf-8")
        else:
            shutil.copyfile(data / name, out / "data" / name)
    rows = [json.loads(line) for line in (out / "data" / FILES["train"]).open(encoding="utf-8")]
    save_model(out / "model", [row["question"] + "\n" + row["answer"] for row in rows])
    source = "a sample written in GSM8K's format (no GSM8K here)" if data is None else f"GSM8K from {data}"
    return f"Prepared {out} from {source}: {len(rows)} training rows."


def sample(split: str, rows: int = 96) -> list[dict[str, str]]:
    """Small word problems in GSM8K's format, calculator annotations included."""
    rng = random.Random(split)
    return [_problem(rng) for _ in range(rows)]


def _problem(rng: random.Random) -> dict[str, str]:
    name, thing = rng.choice(["Ada", "Noor", "Jun", "Lea"]), rng.choice(["pens", "cards", "shells"])
    a, b = rng.randint(12, 90), rng.randint(2, 9)
    question = f"{name} has {a} {thing} and buys {b} packs of {b} {thing}. How many {thing} now?"
    answer = (
        f"The packs hold {b}*{b} = <<{b}*{b}={b * b}>>{b * b} {thing}.\n"
        f"{name} has {a}+{b * b} = <<{a}+{b * b}={a + b * b}>>{a + b * b} {thing} now.\n#### {a + b * b}"
    )
    return {"question": question, "answer": answer}


def save_model(out: Path, texts: list[str]) -> None:
    """A Llama of about 0.4M random parameters with its tokenizer, in Hugging Face format."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer(texts)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def train_tokenizer(texts: list[str]):  # type: ignore[no-untyped-def]
    """BPE over metaspace pieces with byte fallback, as Llama-2's tokenizer has."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=["<unk>", "<s>", "</s>", *byte_tokens], show_progress=False
    )
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(texts, trainer)
    state = json.loads(tokenizer.to_str())
    # The bytes were special for the trainer only: as special tokens they could be spelled in a text
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] not in byte_tokens]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE,
    )


if __name__ == "__main__":
    main()
