"""Repeats: sides take turns, each in another place in each round, so that a machine's moods hit all alike."""

from __future__ import annotations

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Side = Callable[[], dict[str, Any]]
"""Does the work once; returns facts to keep beside the seconds."""


def alternate(
    sides: Mapping[str, Side], repeats: int, item: dict[str, Any], save: Callable[[], None]
) -> None:
    """Every side ``repeats`` times, round by round; what ``item`` has already is not measured again.

    A side that fails is noted with its reason and not tried again; the others go on.
    """
    runs, failed = item.setdefault("runs", {}), item.setdefault("failed", {})
    names = list(sides)
    for turn in range(repeats):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if name in failed or len(runs.get(name, ())) > turn:
                continue
            try:
                run = timed(sides[name])
            except Exception as error:  # a peer's code: whatever it raises is its result
                failed[name] = reason(error)
            else:
                runs.setdefault(name, []).append(run)
            save()


def timed(side: Side) -> dict[str, Any]:
    """One run: its seconds, and what the side says about it."""
    gc.collect()
    started = time.perf_counter()
    facts = side()
    return {"seconds": round(facts.pop("seconds", None) or time.perf_counter() - started, 4), **facts}


def in_new_process(work: Callable[..., None], *arguments: Any) -> dict[str, Any]:
    """Seconds of a new Python process that does the work and ends: interpreter and imports included."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    started = time.perf_counter()
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"the process ended with exit code {process.exitcode}")
    return {"seconds": time.perf_counter() - started}


def seconds(item: Mapping[str, Any], name: str) -> list[float]:
    """All seconds of a side."""
    return [run["seconds"] for run in item.get("runs", {}).get(name, ())]


def median(item: Mapping[str, Any], name: str) -> float | None:
    """The median seconds of a side; None where it was not measured."""
    found = seconds(item, name)
    return statistics.median(found) if found else None


def reason(error: BaseException) -> str:
    """The first line of what went wrong."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
