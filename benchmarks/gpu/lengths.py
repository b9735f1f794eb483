"""Writes lengths.json: how many tokens GSM8K's questions and answers have, a sample of each split.

python -m benchmarks.gpu.lengths --model DIRECTORY_WITH_A_LLAMA_TOKENIZER --data DIRECTORY_WITH_GSM8K
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

FILE = Path(__file__).with_name("lengths.json")
SAMPLES = {"train": 1024, "test": 256}

Pairs = list[tuple[int, int]]
"""(tokens of the question, tokens of the answer)."""


def main() -> None:
    """Counts and writes."""
    from transformers import AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    made = {"vocabulary": len(tokenizer)}
    for split, number in SAMPLES.items():
        rows = [json.loads(line) for line in (options.data / f"gsm8k_{split}.jsonl").open(encoding="utf-8")]
        made[split] = [
            [
                len(tokenizer(row[key], add_special_tokens=False)["input_ids"])
                for key in ("question", "answer")
            ]
            for row in random.Random(0).sample(rows, number)
        ]
    FILE.write_text(json.dumps(made) + "\n")


def read(split: str) -> Pairs:
    """The sampled lengths of a split."""
    return [(question, answer) for question, answer in json.loads(FILE.read_text())[split]]


if __name__ == "__main__":
    main()
