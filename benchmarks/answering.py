"""What each mechanism of the local engine is worth, whether adapters are better mixed or merged, and what
bfloat16 is worth.

    python -m benchmarks.answering --out benchmarks/results/answering.json

Seconds are the processor's (user and system), the least of the repeats, so that a busy machine disturbs them
less. The queue is the demo's: every prompt of four suites under one template, for the untuned lab model.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from puretune.inference import LocalEngine, Request
from puretune.lab.offers import demo_study
from puretune.models import AdapterRef, BaseModel, Dtype, adapter_ref, load_base, new_lora, save_lora
from puretune.store import write_text
from puretune.study import named_study, plan_study
from puretune.study.plan.prompts import Prompts

WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "32 rows": {"batch_size": 32},
    "128 rows": {"batch_size": 128},
    "rows do not refill": {"refill": False},
    "prefix not shared": {"share_prefix": False},
    "as modules": {"plain": False},
    "as modules, prefix not shared": {"plain": False, "share_prefix": False},
}
TEMPLATES = ("chat:vanilla", "chat:alpaca", "chat:llama")


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """The least processor time of so many runs, after one that warms up."""
    run()
    return min(_once(run) for _ in range(repeats))


def _once(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def queues(dtype: Dtype = "auto") -> tuple[BaseModel, dict[str, list[Request]]]:
    """The demo's base model, and its requests by test template."""
    planned = plan_study(named_study(demo_study(full=True)))
    base = load_base(replace(planned.resolved.base.spec, dtype=dtype))
    prompts, found = Prompts(planned, lambda: base.renderer), {name: [] for name in TEMPLATES}
    decoding = {suite.name: suite.decoding for suite in planned.resolved.suites}
    for step in planned.answer:
        if step.who.condition == "untuned" and step.test_template in found:
            shared = prompts.shared(step.test_template)
            found[step.test_template] += [
                Request(f"{step.suite}/{i}", ids, None, decoding[step.suite], shared=shared)
                for i, ids in enumerate(prompts.of(step))
            ]
    return base, found


def mechanisms(repeats: int) -> list[dict[str, Any]]:
    """Seconds and answers that differ from the first way's, by template and way."""
    base, found = queues()
    rows = []
    for template, requests in found.items():
        usual = {a.key: a.token_ids for a in LocalEngine(base).generate(requests)}
        for name, how in WAYS.items():
            engine = LocalEngine(base, **how)
            differing = sum(usual[a.key] != a.token_ids for a in engine.generate(requests))
            took = seconds(lambda engine=engine, asked=requests: list(engine.generate(asked)), repeats)
            tokens = sum(map(len, usual.values()))
            rows.append(
                {"template": template, "way": name, "prompts": len(requests), "tokens": tokens,
                 "seconds": round(took, 3), "differing": differing}
            )  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def formats(repeats: int) -> list[dict[str, Any]]:
    """Seconds of the three queues behind each other, by number format and way, for the untuned model and for
    one with an adapter, and answers that differ from those of float32. The adapter is new, so it changes no
    answer; what it costs does not depend on that."""
    rows: list[dict[str, Any]] = []
    usual: dict[str, Any] = {}
    for dtype in ("float32", "bfloat16"):
        base, found = queues(dtype)
        asked = {None: [replace(one, key=f"{name}/{one.key}") for name in found for one in found[name]]}
        with tempfile.TemporaryDirectory() as scratch:
            new = _new_adapter(base, Path(scratch))
            asked[new] = [replace(one, adapter=new) for one in asked[None]]
            for (adapter, requests), plain in product(asked.items(), (True, False)):
                engine = LocalEngine(base, plain=plain)
                answers = {a.key: a.token_ids for a in engine.generate(requests)}
                usual = usual or answers
                took = seconds(lambda engine=engine, asked=requests: list(engine.generate(asked)), repeats)
                rows.append(
                    {"dtype": dtype, "adapter": adapter is not None, "plain": plain,
                     "seconds": round(took, 3), "prompts": len(requests),
                     "differing": sum(usual[key] != ids for key, ids in answers.items())}
                )  # fmt: skip
                print(rows[-1], flush=True)
    return rows


def _new_adapter(base: BaseModel, directory: Path) -> AdapterRef:
    recipe = next(iter(plan_study(named_study(demo_study(full=True))).resolved.tuned.values())).recipe
    generator = torch.Generator().manual_seed(0)
    lora = new_lora(base.model, recipe.rank, recipe.alpha, recipe.targets, generator)
    save_lora(directory, lora, base.model, base.spec.model, None)
    return adapter_ref(directory)


def mixing(repeats: int, rank: int = 8, adapters: int = 6) -> dict[str, float]:
    """Milliseconds of a decode step's linear layers with 64 rows: adapters merged into the weights, or mixed
    in one batch (stacked LoRA on every layer, each row with its own)."""
    base, rows = load_base(plan_study(named_study(demo_study(full=True))).resolved.base.spec), 64
    linear = [one for name, one in base.model.named_modules() if name.endswith("_proj")]
    whose = torch.arange(rows) % adapters
    stacks = [
        (torch.randn(adapters, one.weight.shape[1], rank), torch.randn(adapters, rank, one.weight.shape[0]))
        for one in linear
    ]
    inputs = [torch.randn(rows, one.weight.shape[1]) for one in linear]

    def merged() -> None:
        for one, x in zip(linear, inputs, strict=True):
            one(x)

    def mixed() -> None:
        for one, x, (a, b) in zip(linear, inputs, stacks, strict=True):
            one(x) + (x.unsqueeze(1) @ a[whose] @ b[whose]).squeeze(1)

    with torch.inference_mode():
        return {
            name: round(1000 * seconds(lambda f=f: [f() for _ in range(20)], repeats) / 20, 3)
            for name, f in (("merged", merged), ("mixed", mixed))
        }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    results = {
        "command": "python -m benchmarks.answering",
        "machine": {"processor": platform.machine(), "threads": 1},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "mixing": mixing(asked.repeats),
        "mechanisms": mechanisms(asked.repeats),
        "formats": formats(asked.repeats),
    }
    print(results["mixing"])
    if asked.out:
        write_text(asked.out, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
