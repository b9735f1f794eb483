"""All units of a confirmation in several processes; a killed run resumes.

OUT/frozen.json            what the results in OUT were made from
OUT/units/01-ARM.json      one finished unit, written at once
OUT/01/                    models, adapters and answers of model seed 1
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.files import read_mapping
from puretune.lab.confirm._frozen import Frozen
from puretune.processes import end_with_parent
from puretune.store import lease, make_directory, write_text

_WORK = "confirm"
Unit = tuple[int, str]
"""(index of the model seed, arm)"""


def confirm(
    frozen: Frozen,
    out: Path,
    arms: Sequence[str] = (),
    seeds: int | None = None,
    processes: int = 1,
    on_event: EventSink = ignore,
    earlier: Iterable[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Compute the units missing from ``out`` and return all that it has by then, in order.

    ``arms``: these only (default: every arm of the recipe, the main ones first); ``seeds``: at most that
    many model seeds an arm at most; ``earlier``: units of an incomplete result, which are taken over. One
    process works on one model seed, with one thread. InputError for an unknown arm;
    CheckFailed if ``out`` belongs to another frozen file.
    """
    wanted = units(frozen, arms, seeds)
    with lease(make_directory(out)):
        _claim(out, frozen)
        _take_over(out, frozen, earlier)
        missing = [unit for unit in wanted if not _path(out, unit).exists()]
        on_event(Started(_WORK, len(missing)))
        for done, unit in enumerate(_computed(frozen, out, missing, processes), 1):
            on_event(Advanced(_WORK, done, f"model seed {unit[0] + 1}, arm {unit[1]}"))
        on_event(Finished(_WORK, f"{len(missing)} units"))
    return load_units(out, frozen)


def units(frozen: Frozen, arms: Sequence[str] = (), seeds: int | None = None) -> list[Unit]:
    """The units in the order of their computation: group after group of arms, seed after seed within one."""
    chosen = list(arms) or list(frozen.recipe["arms"])
    limits = {
        arm: min(frozen.seeds_of(arm), frozen.seeds_of(arm) if seeds is None else seeds) for arm in chosen
    }
    groups: dict[int, list[str]] = {}
    for arm in chosen:
        groups.setdefault(int(frozen.recipe["arms"][arm].get("turn", 0)), []).append(arm)
    return [
        (index, arm)
        for _, group in sorted(groups.items())
        for index in range(max(limits[arm] for arm in group))
        for arm in group
        if index < limits[arm]
    ]


def load_units(out: Path, frozen: Frozen) -> list[dict[str, Any]]:
    """The finished units in a directory; CheckFailed if one was made from another frozen file."""
    found = [read_mapping(path) for path in sorted((out / "units").glob("*.json"))]
    for unit in found:
        check_unit(unit, frozen)
    order = {unit: place for place, unit in enumerate(units(frozen))}
    return sorted(found, key=lambda unit: order[unit["index"], unit["arm"]])


def check_unit(unit: dict[str, Any], frozen: Frozen) -> None:
    """CheckFailed unless a unit's results were made from this frozen file, on the seed that it gives."""
    if unit["frozen"] != frozen.digest or unit["model_seed"] != frozen.model_seed(unit["index"]):
        raise CheckFailed(
            f"the results of model seed {unit['index'] + 1}, arm {unit['arm']}, were made from another "
            "frozen file: recipe, claims or attempt number have changed since. Confirm the changed file as a "
            "new attempt, in another directory."
        )


def _claim(out: Path, frozen: Frozen) -> None:
    """The directory is this frozen file's; a copy of what was frozen stays in it."""
    path = out / "frozen.json"
    if path.exists():
        if read_mapping(path)["digest"] != frozen.digest:
            raise CheckFailed(
                f"{out} holds results of another frozen file. Name another directory with --out; results of "
                "different recipes or claims are never mixed."
            )
        return
    content = {
        "digest": frozen.digest,
        "attempt": frozen.attempt,
        "recipe": frozen.recipe,
        "claims": frozen.claims,
    }
    write_text(path, json.dumps(content, indent=1) + "\n")


def _take_over(out: Path, frozen: Frozen, earlier: Iterable[dict[str, Any]]) -> None:
    for unit in earlier:
        check_unit(unit, frozen)
        path = _path(out, (unit["index"], unit["arm"]))
        if not path.exists():
            write_text(path, json.dumps(unit, indent=1) + "\n")


def _computed(frozen: Frozen, out: Path, missing: list[Unit], processes: int) -> Iterator[Unit]:
    if processes == 1:
        for unit in missing:
            yield _compute(frozen, out, unit)
        return
    from multiprocessing import get_context

    # A fork would inherit torch's threads and locks.
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (os.getpid(),)) as pool:
        try:
            yield from _in_turn(pool, frozen, out, missing, processes)
        except BrokenProcessPool:
            raise EnvironmentFault(
                "a process of the confirmation was killed (out of memory?). Run the same command again: it "
                "resumes."
            ) from None


def _in_turn(
    pool: ProcessPoolExecutor, frozen: Frozen, out: Path, missing: list[Unit], processes: int
) -> Iterator[Unit]:
    """Units in their order, no two of one model seed at once: they share a pretrained model."""
    left, running = list(missing), dict[Future[Unit], Unit]()
    while left or running:
        for unit in list(left):
            busy = {index for index, _ in running.values()}
            if len(running) < processes and unit[0] not in busy:
                left.remove(unit)
                running[pool.submit(_compute, frozen, out, unit)] = unit
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            del running[future]
            yield future.result()


def _compute(frozen: Frozen, out: Path, unit: Unit) -> Unit:
    """Runs in its own process; the unit's file appears whole or not at all."""
    import torch

    from puretune.lab.confirm._unit import run_unit

    torch.set_num_threads(1)
    index, arm = unit
    result = run_unit(frozen, index, arm, make_directory(out / f"{index + 1:02}"))
    write_text(_path(out, unit), json.dumps(result, indent=1) + "\n")
    return unit


def _begin(parent: int) -> None:
    """A process of the pool: it ends with its parent and computes on one thread."""
    end_with_parent(parent)
    os.environ["OMP_NUM_THREADS"] = "1"


def _path(out: Path, unit: Unit) -> Path:
    index, arm = unit
    return out / "units" / f"{index + 1:02}-{arm}.json"


def known_arms(frozen: Frozen, names: Iterable[str]) -> tuple[str, ...]:
    """The arms of those names; InputError with the nearest for an unknown one."""
    chosen = tuple(names)
    for name in chosen:
        frozen.settings(name)
    if len(set(chosen)) < len(chosen):
        raise InputError("an arm is named twice. Name each once.")
    return chosen
