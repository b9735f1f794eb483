"""B5: the same adapters (five templates by three seeds), from puretune and from TRL, one run after the other.

First what matters: wall-clock from the rows to adapters that are equal (their largest difference, Frobenius
norm per matrix, is measured in every run). Then tokens a second, without padding; tokens of prefixes that all
rows share are counted apart. Loading the model is part of every run, rendering of ours only. puretune tunes
half of the conditions in a second process, as its studies do with a model of this size; so that this is no
advantage which others could have as well, TRL has a side that runs two at a time.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.speed import _trl
from benchmarks.speed._matrix import SEEDS, Matrix, base_model, matrix, tasks
from benchmarks.speed._measure import alternate, in_new_process, reason, timed
from benchmarks.speed._predict import predicted
from benchmarks.speed._record import Record, cores
from benchmarks.speed._steps import Steps, steps_of
from benchmarks.speed._two import in_two

from puretune.events import ignore
from puretune.models import has_bf16
from puretune.tuning import tuner_named

NAME = "B5"
_SLICE_STEPS, _TRIAL_STEPS = 4, 4
_IN_FLOAT32 = ("TRL, tuned, two processes", "puretune, one process")
"""Sides for comparison, which slices have in float32 only."""

Tensors = dict[str, Any]
Adapters = dict[str, Tensors]
"""Matrices by condition."""
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Ours:
    """How puretune tunes."""

    tuner: str = "gang"
    options: tuple[tuple[str, Any], ...] = ()
    dtype: str = "float32"
    threads: int = 1
    processes: int = 1


Setting = Ours | _trl.Setting
_OFF = {"pack": False, "share_prefix": False, "last_layer": False, "head": False}


def _gang(**changes: bool) -> Ours:
    return Ours("gang", tuple({**_OFF, **changes}.items()))


LADDER = {
    "loop": Ours("loop"),
    "+ gang": _gang(),
    "+ packing": _gang(pack=True),
    "+ prefix": _gang(pack=True, share_prefix=True),
    "+ head": _gang(pack=True, share_prefix=True, head=True, last_layer=True),
}
"""Each mechanism's share: from one adapter at a time, one mechanism more on every rung."""


def measure(record: Record, repeats: int, full: bool, steps: int | None = None) -> None:
    """Adds to the record what it lacks of this item."""
    made = matrix(steps=steps or (None if full else _SLICE_STEPS))
    item = record.item(NAME)
    with tempfile.TemporaryDirectory() as scratch:
        bench = _Bench(made, Path(scratch))
        item["work"] = bench.work()
        item["predicted"] = predicted(bench.steps, bench.base)
        chosen = item.setdefault("settings", {})
        failed = item["failed"] = dict[str, str]()  # tried again by every command
        for name, candidates in _candidates(full).items():
            if name in chosen or name in failed:
                continue
            try:
                chosen[name] = vars(bench.fastest(candidates))
            except Exception as error:  # a peer that is not installed, or cannot do it
                failed[name] = reason(error)
            record.save()
        bench.reference = ours(Ours("loop"), made, bench.steps, bench.scratch)
        sides = {name: bench.side(_setting(name, said)) for name, said in chosen.items()}
        alternate(sides, repeats, item, record.save)
        cold = {
            name: partial(in_new_process, _cold, _setting(name, chosen[name]), made.recipe.steps)
            for name in ("TRL, tuned", "puretune")
            if name in chosen
        }
        alternate(cold, repeats if full else 1, item.setdefault("cold", {}), record.save)


def _cold(setting: Setting, steps: int) -> None:
    """All conditions, in a process that has nothing yet."""
    with tempfile.TemporaryDirectory() as scratch:
        _Bench(matrix(steps=steps), Path(scratch)).side(setting, check=False)()


def _candidates(full: bool) -> dict[str, list[Setting]]:
    """Each side with the settings that it may choose from; the fastest in a short trial is measured."""
    threads, both = sorted({1, cores()}), (False, True)
    sides: dict[str, list[Setting]] = {
        "TRL, defaults": [_trl.Setting(threads=cores())],
        "TRL, tuned": [
            _trl.Setting(tuned=True, padding_free=free, threads=n) for n in threads for free in both
        ],
        "TRL, tuned, two processes": [
            _trl.Setting(tuned=True, padding_free=free, processes=2) for free in both
        ],
        "puretune": [Ours(processes=2)],
        "puretune, one process": [Ours(threads=n) for n in threads],
        **{name: [replace(ours, threads=threads[0])] for name, ours in LADDER.items()},
    }
    if has_bf16():
        sides |= {
            f"{name}, bf16": [replace(one, dtype="bfloat16") for one in settings]
            for name, settings in sides.items()
            if name not in LADDER and (full or name not in _IN_FLOAT32)
        }
    return sides


def _setting(name: str, said: Mapping[str, Any]) -> Setting:
    if name.startswith("TRL"):
        return _trl.Setting(**said)
    return Ours(**{**said, "options": tuple((key, value) for key, value in said["options"])})


class _Bench:
    """The work, and the adapters that the plain loop makes of it."""

    def __init__(self, made: Matrix, scratch: Path) -> None:
        self.made = made
        self.scratch = scratch
        self.base = base_model(made)
        self.tasks = tasks(made, scratch / "reference")
        self.steps = [steps_of(task, self.base) for task in self.tasks]
        self.reference: Adapters = {}

    def work(self) -> dict[str, int]:
        """What every side does in a run."""
        tokens = {
            key: sum(steps.tokens[key] for steps in self.steps) for key in ("seen", "distinct", "trained")
        }
        return {"adapters": len(self.tasks), "steps": self.made.recipe.steps or 0, **tokens}

    def fastest(self, candidates: Sequence[Setting]) -> Setting:
        """The candidate that is fastest on two short conditions; afterwards all are warm."""
        small = self._smaller(_TRIAL_STEPS if len(candidates) > 1 else 1)
        taken: dict[Setting, float] = {}
        for one in (candidates[0], *candidates):  # the first run loads libraries and does not count
            taken[one] = timed(small.side(one, check=False))["seconds"]
        return min(taken, key=lambda one: taken[one])

    def side(self, setting: Setting, check: bool = True) -> Callable[[], dict[str, Any]]:
        """One run of all conditions under a setting; the comparison is not timed."""

        def run() -> dict[str, Any]:
            started = time.perf_counter()
            if isinstance(setting, Ours):
                adapters, facts = ours(setting, self.made, self.steps, self.scratch), {}
            else:
                adapters, facts = theirs(setting, self.made, self.steps, self.scratch)
            facts["seconds"] = time.perf_counter() - started
            return facts | ({"difference": difference(adapters, self.reference)} if check else {})

        return run

    def _smaller(self, steps: int) -> _Bench:
        """Two conditions of different templates, with fewer steps."""
        small = _Bench(matrix(steps=min(steps, self.made.recipe.steps or steps)), self.scratch)
        small.steps = small.steps[:: len(SEEDS)][-2:]
        return small


def ours(setting: Ours, made: Matrix, steps: Sequence[Steps], scratch: Path) -> Adapters:
    from safetensors.torch import load_file

    base = base_model(made, setting.dtype, setting.threads)
    out = Path(tempfile.mkdtemp(dir=scratch))

    def tuned(some: list[Steps]) -> Adapters:
        asked = [replace(one.task, out=out / one.task.out.name) for one in some]
        made_here = tuner_named(setting.tuner, dict(setting.options)).open(base).tune(asked, ignore)
        return {one.name: load_file(ref.path / "adapter_model.safetensors") for one, _, ref in made_here}

    try:
        return _in_processes(setting.processes, steps, tuned)
    finally:
        shutil.rmtree(out)


def theirs(
    setting: _trl.Setting, made: Matrix, steps: Sequence[Steps], scratch: Path
) -> tuple[Adapters, dict[str, float]]:
    base = base_model(made)

    def tuned(some: list[Steps]) -> dict[str, _trl.Made]:
        return {one.task.name: _trl.train(one, base, setting, scratch / one.task.out.name) for one in some}

    adapters = _in_processes(setting.processes, steps, tuned)
    training = sum(one.training_seconds for one in adapters.values()) / setting.processes
    return {name: one.tensors for name, one in adapters.items()}, {"training_seconds": round(training, 4)}


def _in_processes(
    processes: int, steps: Sequence[Steps], work: Callable[[list[Steps]], dict[str, _Found]]
) -> dict[str, _Found]:
    """The work in this process, or half of it (as in studies, the second half) in another."""
    if processes == 1:
        return work(list(steps))
    half = (len(steps) + 1) // 2
    return in_two(list(steps[:half]), list(steps[half:]), work)


def difference(adapters: Adapters, reference: Adapters) -> float:
    """The largest Frobenius norm of a matrix minus the reference's, over all adapters."""
    return max(
        float((matrix.float() - reference[name][key].float()).norm())
        for name, tensors in adapters.items()
        for key, matrix in tensors.items()
    )
