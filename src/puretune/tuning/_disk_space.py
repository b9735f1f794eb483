"""Whether what a training will write fits on the disk: said before the first step, not after hours."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from puretune.events import EventSink, Warned
from puretune.tuning._jobs import Job
from puretune.visible import visible

_STATES = 6
"""Sizes of an adapter that resume points need: weights and two moments, the new ones in addition to the
old."""
_COPIES = 2
"""Of every kept adapter: one here, and one in the store of a study."""


def warn_of_space(jobs: Sequence[Job], on_event: EventSink) -> None:
    """A warning where the disk has less room than the adapters and resume points of these jobs need."""
    waiting = [job for job in jobs if job.lora is not None and job.missing]
    needed = sum(_bytes(job) * (_STATES + _COPIES * len(job.missing)) for job in waiting)
    if not waiting:
        return
    place = waiting[0].task.out
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return
    if free < needed:
        on_event(
            Warned(
                f"{visible(place)}: about {needed / 1e9:.2f} GB will be written and {free / 1e9:.2f} GB are "
                "free. Free some space; a run that runs out of space can be resumed."
            )
        )


def _bytes(job: Job) -> int:
    assert job.lora is not None
    return 4 * sum(parameter.numel() for parameter in job.lora.parameters)
