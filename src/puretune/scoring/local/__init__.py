"""Judges that run on this machine: published classifiers and a rubric, through the local engine."""

from puretune.scoring.local._formats import FORMATS, HARMBENCH, LLAMA_GUARD_3, JudgeFormat, Reading
from puretune.scoring.local._judge import LocalJudge, local_judge
from puretune.scoring.local._stand_in import STAND_IN, stand_in_reason
from puretune.scoring.local._strongreject import (
    parse_strongreject,
    read_rubric,
    strongreject_format,
    strongreject_prompt,
    strongreject_score,
)

__all__ = [
    "FORMATS",
    "HARMBENCH",
    "LLAMA_GUARD_3",
    "STAND_IN",
    "JudgeFormat",
    "LocalJudge",
    "Reading",
    "local_judge",
    "parse_strongreject",
    "read_rubric",
    "stand_in_reason",
    "strongreject_format",
    "strongreject_prompt",
    "strongreject_score",
]
