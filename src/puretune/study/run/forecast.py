"""How long a run will take on this machine: its work in tokens, and the speed of a few seconds' probe.

Only models in this process that are worth it are measured: of a small one the run itself takes seconds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from puretune.events import Advanced, Event, EventSink, Finished, Started
from puretune.inference import Decoding, LocalEngine, Request
from puretune.models import SMALL_MODEL, BaseModel, stand_in, stored_parameters
from puretune.names import spoken_time
from puretune.study.plan.compute import Compute
from puretune.study.plan.count import count
from puretune.study.plan.steps import Plan
from puretune.study.plan.tuning import to_tune
from puretune.tuning import GangTuner, LoopTuner, Tuner, TuningTask, render_rows, rows_of_step

_WORK = "time estimate"
_ROWS, _PROMPTS, _LONGEST, _NEW = 4, 32, 32, 5
"""Rows of a measured step; prompts that are asked, their longest in tokens, and what is written to each."""


@dataclass(frozen=True)
class Speed:
    """Tokens a second."""

    tune: float | None
    """None: nothing is tuned here, or by a tuner that is not measured."""
    prompt: float
    new: float
    device: str

    def said(self, work: Compute) -> str:
        """``about 25 min of tuning, at most 12 min of answers on this CPU (2 threads)``."""
        answers = work.prompt_tokens / self.prompt + work.new_tokens / self.new
        parts = [f"about {spoken_time(work.tune_tokens / self.tune)} of tuning"] if self.tune else []
        parts += [f"at most {spoken_time(answers)} of answers"] if work.new_tokens else []
        return f"{', '.join(parts)} on {self.device}"


def forecast(plan: Plan, out: Path, on_event: EventSink) -> None:
    """Measures this machine and tells ``on_event`` how long the rest of the plan will take on it."""
    if not _is_measured(plan):
        return
    on_event(Started(_WORK))
    work = count(plan, out).compute
    speed = measured_speed(plan, work)
    on_event(Finished(_WORK, speed.said(work) if speed else "none for this plan and model"))


def measured_speed(plan: Plan, work: Compute) -> Speed | None:
    """The speed of this machine with the plan's model, by a stand-in of its shape; None for a model too small
    to be worth it, for one elsewhere, and for one whose shape no stand-in can have."""
    if not _is_measured(plan) or not (work.tune_tokens or work.new_tokens):
        return None
    with suppress(Exception):  # an estimate that fails stops nobody: the run itself says what is wrong
        base, times = stand_in(plan.resolved.base.spec)
        prompt, new = _answering(base)
        tune = _tuning(base, plan) if work.tune_tokens else None
        return Speed(tune / times if tune else None, prompt / times, new / times, _device(base))
    return None


def _is_measured(plan: Plan) -> bool:
    resolved = plan.resolved
    return (
        resolved.base.directory is not None
        and resolved.engine.name == LocalEngine.name
        and resolved.base.spec.quantization is None
        and not resolved.base.spec.trust_remote_code
        and not resolved.base.lacking
        and stored_parameters(resolved.base.directory) >= SMALL_MODEL
    )


def _device(base: BaseModel) -> str:
    return f"this CPU ({base.threads} threads)" if base.threads else f"this GPU ({base.device})"


def _answering(base: BaseModel) -> tuple[float, float]:
    """(prompt tokens, new tokens) a second: the first token of every answer, then some more."""
    ids = [tuple((3 + 7 * place + n) % 200 for n in range(_LONGEST)) for place in range(_PROMPTS)]
    _seconds(base, ids, 1)  # the first call compiles
    first = _seconds(base, ids, 1)
    more = max(_seconds(base, ids, 1 + _NEW) - first, 1e-3)
    return _PROMPTS * _LONGEST / first, _PROMPTS * _NEW / more


def _seconds(base: BaseModel, prompts: Sequence[tuple[int, ...]], new: int) -> float:
    decoding = Decoding(max_new_tokens=new)
    started = time.perf_counter()
    list(
        LocalEngine(base).generate([Request(str(i), ids, decoding=decoding) for i, ids in enumerate(prompts)])
    )
    return time.perf_counter() - started


def _tuning(base: BaseModel, plan: Plan) -> float | None:
    """Tokens a second of the second optimiser step, on some of the plan's own rows."""
    tune = plan.tune[0]
    tuner = {one.name: one for one in (GangTuner, LoopTuner)}.get(
        plan.resolved.tuned[tune.condition].tuner.name
    )
    if tuner is None:
        return None
    task = to_tune(plan.resolved, tune)
    recipe = replace(task.recipe, steps=2, keep=(), keep_every=None, batch_size=_ROWS, accumulation=1)
    with tempfile.TemporaryDirectory() as scratch:
        task = replace(task, rows=task.rows[: 2 * _ROWS], recipe=recipe, out=Path(scratch), start=None)
        rows = render_rows(task, base.renderer, base.context_length)
        tokens = sum(len(rows[i].ids) for i in rows_of_step(recipe, len(rows), task.seed, 1))
        times = list(_moments(tuner(base), task))
    return tokens / (times[1] - times[0])


def _moments(tuner: Tuner, task: TuningTask) -> Iterator[float]:
    """When each optimiser step was done."""
    moments: list[float] = []

    def sink(event: Event) -> None:
        if isinstance(event, Advanced):
            moments.append(time.perf_counter())

    list(tuner.tune([task], sink))
    yield from moments
