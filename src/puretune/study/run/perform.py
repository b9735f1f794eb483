"""``perform``: a unit of work done, the same in this process, in a forked one, or on another machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from puretune.events import EventSink
from puretune.study.run.answers import answer
from puretune.study.run.budgeted_judge import draw
from puretune.study.run.likelihoods import ask_likelihoods
from puretune.study.run.transforms import transform
from puretune.study.run.tuning import tune
from puretune.study.run.units import (
    AnswerUnit,
    LikelihoodUnit,
    SampledScoreUnit,
    ScoreUnit,
    TransformUnit,
    TuneUnit,
    Unit,
    WriteUnit,
)
from puretune.study.run.verdicts import score
from puretune.study.run.worker import Worker

_HOW: Mapping[type[Unit], Callable[[Any, Worker, EventSink], None]] = {
    TuneUnit: tune,
    TransformUnit: transform,
    WriteUnit: answer,
    AnswerUnit: answer,
    LikelihoodUnit: ask_likelihoods,
    ScoreUnit: score,
    SampledScoreUnit: draw,
}


def perform(unit: Unit, worker: Worker, on_event: EventSink) -> None:
    """Read what the unit needs from the worker's store, publish what it makes.

    ``on_event`` is told how many of the unit's own answers or shards are done.
    """
    worker.make_room(unit.work)
    _HOW[type(unit)](unit, worker, on_event)
