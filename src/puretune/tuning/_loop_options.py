"""The reference tuner before there is a model to tune."""

from __future__ import annotations

from dataclasses import dataclass

from puretune.tuning._spec import LocalTuner


@dataclass(frozen=True)
class LoopOptions(LocalTuner):
    """There is nothing to choose."""

    name = "loop"
    version = "2"
    opens = "puretune.tuning.loop:LoopTuner"
    any_loss = True
