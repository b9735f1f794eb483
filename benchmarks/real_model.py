"""A real model's size on a CPU: 100 prompts answered at the shapes of SmolLM2-135M and Qwen2.5-0.5B.

    python -m benchmarks.real_model [--prompts 100] [--new 8] [--gguf FILE] [--out FILE]

Weights are random, so nothing is downloaded; what is measured (memory, and time per token) depends on shapes
and number formats alone. ``--gguf`` answers with the weights of a GGUF file instead (needs the package gguf).
Each side runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "real-model.json"
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "SmolLM2-135M": (
        "LlamaConfig",
        {
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
        },
    ),
    "Qwen2.5-0.5B": (
        "Qwen2Config",
        {
            "vocab_size": 151936,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
        },
    ),
}
"""Configuration class and the sizes that the published config.json files state; embeddings are tied."""
DTYPES = ("bfloat16", "float32")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs every side and writes the results."""
    options = _options(arguments)
    if options.side:
        print(json.dumps(measure(options.side, options.dtype, options.prompts, options.new, options.gguf)))
        return
    names = [options.gguf] if options.gguf else list(SHAPES)
    rows = [_in_a_process(name, dtype, options) for name in names for dtype in DTYPES]
    found = {"machine": _machine(), "prompts": options.prompts, "new tokens": options.new, "rows": rows}
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(rows))


def measure(name: str, dtype: str, prompts: int, new: int, gguf: str | None = None) -> dict[str, Any]:
    """Answers ``prompts`` prompts with ``new`` tokens each; seconds, tokens per second, peak memory in GB."""
    import torch

    from puretune.inference import LocalEngine
    from puretune.models._hardware import usable_cores

    torch.set_num_threads(usable_cores())
    model = _from_gguf(gguf, dtype) if gguf else _random(name, dtype)
    weights = sum(weight.numel() for weight in model.parameters())
    base, requests = _base(model), _requests(model.config.vocab_size, prompts, new)
    started, busy = time.perf_counter(), time.process_time()
    answers = list(LocalEngine(base).generate(requests))
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    read = sum(len(request.prompt) for request in requests)
    made = sum(len(answer.token_ids) for answer in answers)
    return {
        "model": name,
        "dtype": dtype,
        "weights": weights,
        "threads": torch.get_num_threads(),
        "answers": len(answers),
        "prompt tokens": read,
        "new tokens": made,
        "seconds": round(seconds, 1),
        "processor seconds": round(busy, 1),
        "tokens per second": round((read + made) / seconds, 1),
        "peak memory GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as docs/performance.md has them."""
    keys = (
        "model",
        "dtype",
        "threads",
        "answers",
        "seconds",
        "processor seconds",
        "tokens per second",
        "peak memory GB",
    )
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join([*lines, *("| " + " | ".join(str(row[key]) for key in keys) + " |" for row in rows)])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--new", type=int, default=8)
    parser.add_argument("--gguf")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _in_a_process(name: str, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.real_model", "--side", name, "--dtype", dtype]
    command += ["--prompts", str(options.prompts), "--new", str(options.new)]
    command += ["--gguf", options.gguf] if options.gguf else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _random(name: str, dtype: str) -> Any:
    import torch
    import transformers

    kind, sizes = SHAPES[name]
    config = getattr(transformers, kind)(**sizes, tie_word_embeddings=True, max_position_embeddings=2048)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    return model.eval().requires_grad_(False)


def _from_gguf(file: str | None, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    path = Path(str(file)).resolve()
    kind = getattr(torch, dtype)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=kind)
    return model.eval().requires_grad_(False)


class _NoText:
    """A renderer for ids that nobody reads: no stop token, so that every answer has its full length."""

    stop_ids: frozenset[int] = frozenset()

    def parse(self, ids: Sequence[int]) -> str:
        return ""


def _base(model: Any) -> Any:
    from puretune.models import BaseModel, ModelSpec

    renderer: Any = _NoText()
    return BaseModel(model, None, renderer, 2048, "random", ModelSpec("random"), Path())


def _requests(vocabulary: int, prompts: int, new: int) -> list[Any]:
    """Prompts of 20 to 60 random tokens, as questions of a suite have them."""
    import torch

    from puretune.inference import Decoding, Request

    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(20, 61, (prompts,), generator=draw).tolist()
    ids = [torch.randint(3, vocabulary, (length,), generator=draw).tolist() for length in lengths]
    decoding = Decoding(max_new_tokens=new)
    return [Request(str(number), tuple(one), decoding=decoding) for number, one in enumerate(ids)]


def _machine() -> dict[str, Any]:
    import torch

    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
