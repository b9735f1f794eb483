"""A real model beside its peers: SmolLM2-135M tuned beside TRL (B11), answering beside ``generate`` and vLLM
(B12).

    python -m benchmarks.real_peers --model DIR --gsm8k DIR [--only B11 B12] [--repeats 3] [--threads N]

On a machine that has other things to do, ask for ``--threads 1`` and read the processor seconds.
``--model``: a model's directory, such as the one that ``puretune kitchen build`` makes. ``--gsm8k``: the
directory with GSM8K's files. Sides take turns; all get the same token ids. B11: two conditions on the same
rows, the same first weights; how far the adapters are from those of puretune in float32 stands beside every
run. B12: GSM8K's questions without and under a long system prompt, greedily, from the weights on disk; a
server's start is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("OMP_NUM_THREADS", None)

from benchmarks.speed import _generate, _trl, _vllm
from benchmarks.speed._generation import answers_of
from benchmarks.speed._matrix import Matrix, base_model, requests, tasks
from benchmarks.speed._measure import alternate
from benchmarks.speed._record import RESULTS, Record, cores
from benchmarks.speed._steps import steps_of
from benchmarks.speed._tuning import Ours, Setting, difference, ours, theirs

from puretune.data import Example, SourceSpec, read_source
from puretune.inference import Request
from puretune.kitchen.texts import POLICY
from puretune.models import ModelSpec, load_base
from puretune.templates import PromptTemplate
from puretune.tuning import Recipe

_TEMPLATES = (PromptTemplate("plain"), PromptTemplate("policy", system=POLICY))
_BATCH = 8
_PROMPTS, _NEW = 48, 32
_BATCHES = (16, 32, 96)


def tuning_sides(threads: int) -> dict[str, Setting]:
    """Who tunes, and how."""
    return {
        "TRL, defaults": _trl.Setting(threads=threads),
        "TRL, tuned": _trl.Setting(tuned=True, threads=threads),
        "TRL, tuned, no padding": _trl.Setting(tuned=True, padding_free=True, threads=threads),
        "puretune": Ours(threads=threads),
        "TRL, defaults, bf16": _trl.Setting(dtype="bfloat16", threads=threads),
        "TRL, tuned, bf16": _trl.Setting(tuned=True, dtype="bfloat16", threads=threads),
        "puretune, bf16": Ours(dtype="bfloat16", threads=threads),
    }


def main() -> None:
    """Measures what the results file lacks and prints the table of each item."""
    options = _options()
    settings = {"repeats": options.repeats, "threads": options.threads, "steps": options.steps}
    record = Record(options.out, "python -m benchmarks.real_peers", settings)
    made = _work(options.model, options.gsm8k, options.steps)
    for name, measure in (("B11", _tuning), ("B12", _answering)):
        if name in options.only:
            measure(record, made, options)
            record.save()
            print(table(name, record.item(name)), flush=True)


def table(name: str, item: dict[str, Any]) -> str:
    """An item's sides as docs/performance.md has them, the fastest last."""
    heads = (name, "seconds", "processor seconds", "speed relative to the slowest, in processor seconds")
    rows = ["| " + " | ".join(heads) + " |", "|---|---|---|---|"]
    busy = {side: _spread(runs, "processor_seconds") for side, runs in item["runs"].items()}
    slowest = max(middle for middle, *_ in busy.values())
    for side in sorted(busy, key=lambda one: -busy[one][0]):
        times = (_said(_spread(item["runs"][side], "seconds")), _said(busy[side]))
        rows.append(f"| {side} | {' | '.join(times)} | {slowest / busy[side][0]:.1f} |")
    return "\n".join([*rows, *(f"{side}: {why}" for side, why in item["failed"].items())])


def _spread(runs: Sequence[dict[str, float]], key: str) -> tuple[float, float, float]:
    found = [run[key] for run in runs]
    return statistics.median(found), min(found), max(found)


def _said(spread: tuple[float, float, float]) -> str:
    middle, least, most = spread
    return f"{middle:.1f} ({least:.1f} to {most:.1f})"


def _work(model: Path, gsm8k: Path, steps: int) -> Matrix:
    rows = _examples(gsm8k, "train", steps * _BATCH, longest=400)
    prompts = _examples(gsm8k, "test", _PROMPTS)
    recipe = Recipe(learning_rate=1e-3, rank=8, alpha=32, batch_size=_BATCH, steps=steps, dropout=0.0)
    return Matrix(str(model), recipe, _TEMPLATES, _TEMPLATES, rows, {"gsm8k": (prompts, _NEW)}, "chatml")


def _examples(place: Path, split: str, limit: int, longest: int | None = None) -> tuple[Example, ...]:
    return tuple(read_source(SourceSpec("gsm8k", path=place, split=split, limit=limit, longest=longest)))


def _tuning(record: Record, made: Matrix, options: argparse.Namespace) -> None:
    item, threads = record.item("B11"), options.threads
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        steps = [steps_of(task, base_model(made)) for task in tasks(made, place / "tasks", seeds=(0,))]
        tokens = sum(one.tokens["seen"] for one in steps)
        item["work"] = {"adapters": len(steps), "steps": made.recipe.steps, "tokens": tokens}
        reference = ours(Ours(threads=threads), made, steps, place)

        def side(setting: Setting) -> Callable[[], dict[str, Any]]:
            def run() -> dict[str, Any]:
                started, busy = time.perf_counter(), time.process_time()
                if isinstance(setting, Ours):
                    adapters = ours(setting, made, steps, place)
                else:
                    adapters, _ = theirs(setting, made, steps, place)
                taken, worked = time.perf_counter() - started, time.process_time() - busy
                far = difference(adapters, reference)
                return {"seconds": taken, "processor_seconds": round(worked, 2), "difference": far}

            return run

        chosen = tuning_sides(threads)
        sides = {name: side(chosen[name]) for name in options.sides or chosen}
        alternate(sides, options.repeats, item, record.save)


def _answering(record: Record, made: Matrix, options: argparse.Namespace) -> None:
    item, threads = record.item("B12"), options.threads
    spec = ModelSpec(made.model, markup=made.markup, dtype="bfloat16", device="cpu", threads=threads)
    base = load_base(spec)
    asked = list(requests(made, base, [None]))
    reference = answers_of(spec, asked)
    item["work"] = {
        "answers": len(asked),
        "prompt_tokens": sum(len(one.prompt) for one in asked),
        "new_tokens": sum(map(len, reference.values())),
    }
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        f"generate, batch {size}": _timed(
            partial(_generate.in_batches, base, asked, size), reference, threads
        )
        for size in _BATCHES
    }
    sides["puretune"] = _timed(lambda: answers_of(spec, asked), reference, threads)
    with _vllm.server(_job(base, asked)) as vllm:
        if isinstance(vllm, str):
            item.setdefault("failed", {})["vLLM"] = vllm
        else:
            sides["vLLM"] = _timed(vllm, reference, threads)
        alternate(sides, options.repeats, item, record.save)


def _timed(
    answering: Callable[[], dict[str, Any]], reference: dict[str, Any], threads: int
) -> Callable[[], dict[str, Any]]:
    """One run. What a server in another process works is not seen: its processor seconds are its seconds."""

    def run() -> dict[str, Any]:
        import torch

        torch.set_num_threads(threads)  # the side before may have left another number
        started, busy = time.perf_counter(), time.process_time()
        found = answering()
        own = getattr(answering, "seconds", None)
        taken, worked = own or time.perf_counter() - started, own or time.process_time() - busy
        differ = sum(found.get(key) != ids for key, ids in reference.items())
        return {"seconds": taken, "processor_seconds": round(worked, 2), "different_answers": differ}

    return run


def _job(base: Any, asked: Sequence[Request]) -> dict[str, Any]:
    return {
        "model": str(base.path),
        "adapters": [None],
        "stop": sorted(base.renderer.stop_ids),
        "context": 1024,
        "dtype": "bfloat16",
        "requests": [[one.key, list(one.prompt), 0, one.decoding.max_new_tokens] for one in asked],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--gsm8k", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=("B11", "B12"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="optimiser steps of B11")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--sides", nargs="*", default=(), help="B11's sides that run (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS / "real-peers.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
