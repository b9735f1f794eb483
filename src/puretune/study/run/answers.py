"""Answers: the prompts of a pool are asked together, what comes back is published shard by shard."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from puretune.data import Example
from puretune.errors import EnvironmentFault
from puretune.events import Advanced, Event, EventSink, Warned
from puretune.inference import Answer, Request
from puretune.study.plan.shards import shard_of
from puretune.study.plan.steps import ANSWERS, AnswerStep, Who
from puretune.study.run.publish import publishing
from puretune.study.run.units import AnswerUnit
from puretune.study.run.worker import Worker


def answer(unit: AnswerUnit, worker: Worker, on_event: EventSink) -> None:
    """Ask a pool. Its shards are published when all are answered, so that a run that was killed asks the
    same pools again, in the same batches, as one that was not."""
    started = time.monotonic()
    asked: list[list[Answer]] = [[] for _ in unit.steps]
    title, done = f"{name_of(unit.steps[0].who)} -> {unit.steps[0].test_template}", 0

    def note(event: Event) -> None:
        """What the engine has to say; how many answers are there is counted here."""
        if isinstance(event, Advanced) and event.note:
            on_event(Advanced(unit.work, done, event.note))

    for done, one in enumerate(worker.engine.generate(_requests(unit, worker), note), 1):
        place, _, number = one.key.partition("/")
        asked[int(place)].append(replace(one, key=number))
        on_event(Advanced(unit.work, done, f"{title}, {unit.steps[int(place)].suite}"))
    each = (time.monotonic() - started) / sum(step.prompts for step in unit.steps)
    with publishing(worker.store) as publish:
        for step, answers in zip(unit.steps, asked, strict=True):
            rows = _rows(answers, shard_of(step, worker.suites), worker.suites[step.suite].decoding.n)
            about = {"seconds": round(each * step.prompts, 3), **_written(step, worker, rows, on_event)}
            publish(ANSWERS, step.key, rows, about)


def _written(
    step: AnswerStep, worker: Worker, answers: Sequence[Mapping[str, Any]], on_event: EventSink
) -> dict[str, Any]:
    """What the store notes of rows that are then tuned on: who wrote them, and how."""
    resolved = worker.plan.resolved
    rows = resolved.written.get(step.suite)
    if rows is None:
        return {}
    cut = sum(answer["finish"] != "stop" for answer in answers)
    if cut:
        said = f"{cut} of {len(answers)} answers were cut at max_new_tokens; they are tuned on as they are."
        on_event(Warned(f"rows {rows.name}: {said}"))
    return {
        "rows": rows.name,
        "cut": cut,
        "model": {"name": resolved.base.spec.model, "fingerprint": resolved.base.fingerprint},
        "template": asdict(rows.template),
        "decoding": asdict(resolved.asked_for(rows).decoding),
        "engine": resolved.engine.identity(),
    }


def name_of(who: Who) -> str:
    """Who answers, in words."""
    return who.condition if who.seed is None else f"{who.condition} seed {who.seed}"


def _requests(unit: AnswerUnit, worker: Worker) -> Iterator[Request]:
    """All prompts of a pool."""
    adapter = worker.adapter(unit.steps[0].who)
    for place, step in enumerate(unit.steps):
        yield from worker.prompts.requests(step, adapter, worker.suites[step.suite].decoding, place)


def _rows(answers: Iterable[Answer], examples: Sequence[Example], n: int) -> list[dict[str, Any]]:
    """Answers as they are stored, in the order of the prompts whatever order they came in."""
    ordered = sorted(answers, key=lambda one: (int(one.key), one.sample))
    expected = [(number, sample) for number in range(len(examples)) for sample in range(n)]
    if [(int(one.key), one.sample) for one in ordered] != expected:
        raise EnvironmentFault("the engine did not return one answer per prompt and sample. Run again.")
    return [
        {
            "prompt_id": examples[int(one.key)].id,
            "sample": one.sample,
            "text": one.text,
            "token_ids": list(one.token_ids),
            "finish": one.finish,
            **({"reported": one.reported} if one.reported else {}),
            **({"note": one.note} if one.note else {}),
        }
        for one in ordered
    ]
