"""The command: which items, how much of them, into which file."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Before torch is imported: every side chooses its number of threads itself
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("OMP_NUM_THREADS", None)

from benchmarks.speed import _commands, _generation, _tuning
from benchmarks.speed._record import RESULTS, Record


def main() -> int:
    """Measures what the results file lacks; 1 where one of our own sides failed."""
    options = _options()
    path = options.out or RESULTS / ("speed-full.json" if options.full else "speed.json")
    settings = {key: getattr(options, key) for key in ("full", "repeats", "steps", "prompts")}
    record = Record(path, _command(options), settings)
    if record.goes_on:
        print(f"going on with {path.name}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, measure in _items(options, Path(scratch) / "demo").items():
            if options.only and name not in options.only:
                continue
            started = time.monotonic()
            print(f"{name} ...", flush=True)
            measure(record)
            record.save()
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    failed = [
        f"{name}: {side}: {why}"
        for name, item in record.content["items"].items()
        for side, why in item.get("failed", {}).items()
    ]
    print("\n".join(failed), file=sys.stderr)
    return int(any("puretune" in line.split(":")[1] for line in failed))


def _items(options: argparse.Namespace, demo: Path) -> dict[str, Callable[[Record], None]]:
    repeats, full, steps, prompts = options.repeats, options.full, options.steps, options.prompts
    return {
        _tuning.NAME: lambda record: _tuning.measure(record, repeats, full, steps),
        _generation.NAME: lambda record: _generation.measure(
            record, repeats, full, steps, prompts, options.sides
        ),
        _commands.DEMO: lambda record: _commands.measure_demo(record, repeats, demo),
        _commands.START: lambda record: _commands.measure_start(record, repeats, demo),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the whole study in place of slices")
    parser.add_argument("--only", nargs="*", metavar="ITEM", help="B5 B6 B7 B9")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, help="optimiser steps per adapter (for a quick try)")
    parser.add_argument("--prompts", type=int, help="prompts per suite (for a quick try)")
    parser.add_argument(
        "--sides", nargs="*", metavar="SIDE", default=(), help="B6's sides that run (default: all)"
    )
    parser.add_argument("--out", type=Path, help="the results file")
    return parser.parse_args()


def _command(options: argparse.Namespace) -> str:
    said = [f"--{key} {value}" for key in ("steps", "prompts") if (value := getattr(options, key))]
    said = [*(["--full"] if options.full else []), *([f"--repeats {options.repeats}"]), *said]
    said += ["--sides", *(f"'{side}'" for side in options.sides)] if options.sides else []
    return " ".join(["python -m benchmarks.speed", *said])


if __name__ == "__main__":
    sys.exit(main())
