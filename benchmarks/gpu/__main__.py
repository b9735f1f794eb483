"""The command: which shape, where, how much of it, into which file."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu import _answer, _tune
from benchmarks.gpu._floors import ceilings, parameters
from benchmarks.gpu._shape import SHAPES, random_base
from benchmarks.speed._record import RESULTS, Record


def main() -> None:
    """Measures what the results file lacks, and prints what it found."""
    options = _options()
    settings = {
        key: getattr(options, key) for key in ("shape", "device", "dtype", "steps", "prompts", "repeats")
    }
    command = "python -m benchmarks.gpu " + " ".join(f"--{key} {value}" for key, value in settings.items())
    record = Record(options.out or RESULTS / f"gpu-{options.shape}.json", command, settings)
    with tempfile.TemporaryDirectory() as directory:
        base = random_base(options.shape, options.device, options.dtype, Path(directory))
        ceiling = ceilings(base)
        record.content |= {"gpu": _gpu(options.device), "parameters": parameters(base), "ceilings": ceiling}
        _tune.measure(base, ceiling, options.steps, options.repeats, record.item("tuning"), record.save)
        record.save()
        _answer.measure(
            base, ceiling, options.prompts, options.repeats, record.item("answering"), record.save
        )
        record.save()
    print("\n".join(lines(record.content)))


def lines(result: dict[str, Any]) -> list[str]:
    """The results for people: seconds, tokens a second, share of the floor, makespan."""
    said = [f"{result['settings']['shape']}, {result['parameters'] / 1e9:.2f} billion parameters a token"]
    for name, item in result["items"].items():
        for side, runs in item.get("runs", {}).items():
            taken = min(run["seconds"] for run in runs)
            work = item["work"]
            one = "1 adapter" in side
            tokens = work.get("new_tokens") or (work["seen_by_one"] if one else work["seen"])
            share = "" if one else f", {item['floor_seconds'] / taken:.1%} of the floor"
            hours = item.get("makespan_hours", {}).get(side)
            span = f", fifteen adapters in {hours:.2f} h" if hours else ""
            said.append(f"{name}: {side}: {taken:.2f} s, {tokens / taken:,.0f} tokens/s{share}{span}")
        said += [f"{name}: not measured: {side} ({why})" for side, why in item.get("failed", {}).items()]
    return said


def _gpu(device: str) -> str | None:
    import torch

    return torch.cuda.get_device_name() if device.startswith("cuda") else None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="llama-2-7b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--steps", type=int, default=16, help="optimiser steps per adapter")
    parser.add_argument("--prompts", type=int, default=64, help="prompts per template")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
