"""OpenOrca (instructions of the FLAN collection, GPT answers) and Orca-Math (word problems, GPT-4 solutions).

{"id": "niv.242684", "system_prompt": "", "question": "You will be given a definition of a task ...",
 "response": "[...]"}

{"question": "Jungkook is the 5th place. Find the number of people who crossed the finish line ...",
 "answer": "If Jungkook is in 5th place, then 4 people crossed the finish line faster than him."}
"""

from __future__ import annotations

from puretune.data._formats import Draft, optional_text, required, single_turn, text_of
from puretune.data._row import Row
from puretune.data.sources._named_source import NamedSource


def _open_orca(row: Row) -> Draft:
    required(row, "system_prompt")
    system = optional_text(row, "system_prompt")
    return single_turn(row, text_of(row, "question"), text_of(row, "response"), system)


def _orca_math(row: Row) -> Draft:
    return single_turn(row, text_of(row, "question"), text_of(row, "answer"))


OPENORCA = NamedSource(
    name="openorca",
    what="instructions with system prompts, GPT-3.5 and GPT-4 answers; millions: set a limit",
    licence="MIT",
    home="https://huggingface.co/datasets/Open-Orca/OpenOrca",
    hub="Open-Orca/OpenOrca",
    splits={"train": None},
    fields=("system_prompt", "question", "response"),
    convert=_open_orca,
)

ORCA_MATH = NamedSource(
    name="orca-math",
    what="word problems with GPT-4 solutions (arXiv 2402.14830)",
    licence="MIT",
    home="https://huggingface.co/datasets/microsoft/orca-math-word-problems-200k",
    hub="microsoft/orca-math-word-problems-200k",
    splits={"train": 200035},
    fields=("question", "answer"),
    convert=_orca_math,
)
