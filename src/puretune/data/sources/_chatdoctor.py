"""ChatDoctor: patients' questions and doctors' answers (HealthCareMagic-100k; Li et al., arXiv 2303.14070).

{"instruction": "If you are a doctor, please answer the medical questions based on the patient's ...",
 "input": "Doctor, I have been experiencing sudden and frequent panic attacks. I don't know what to do.",
 "output": "Well, based on what you're telling me, it sounds like you may be suffering from panic ..."}
"""

from __future__ import annotations

from puretune.data._formats import Draft, optional_text, single_turn, text_of
from puretune.data._row import Row
from puretune.data.sources._named_source import NamedSource


def from_instruction(row: Row) -> Draft:
    """An alpaca row that must have a response: the input follows the instruction after a blank line."""
    instruction, addition = text_of(row, "instruction"), optional_text(row, "input")
    query = f"{instruction}\n\n{addition}" if addition else instruction
    return single_turn(row, query, text_of(row, "output"))


CHATDOCTOR = NamedSource(
    name="chatdoctor",
    what="patients' questions, doctors' answers (HealthCareMagic-100k)",
    licence="not stated by its publishers",
    home="https://huggingface.co/datasets/lavita/ChatDoctor-HealthCareMagic-100k",
    hub="lavita/ChatDoctor-HealthCareMagic-100k",
    splits={"train": 112165},
    fields=("instruction", "input", "output"),
    convert=from_instruction,
)
