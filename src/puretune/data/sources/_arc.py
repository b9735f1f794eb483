"""ARC: science questions with options (Clark et al., arXiv 1803.05457).

{"id": "Mercury_7175875",
 "question": "An astronomer observes that a planet rotates faster after a meteorite impact. Which ...?",
 "choices": {"text": ["Planetary density will decrease.", "Planetary years will become longer.",
                      "Planetary days will become shorter.", "Planetary gravity will become stronger."],
             "label": ["A", "B", "C", "D"]},
 "answerKey": "C"}

Some rows label their options 1 to 4, and a few have three or five: all are lettered from A here.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from puretune.data._formats import Draft, required, single_turn, text_of
from puretune.data._messages import plain_text
from puretune.data._row import Row
from puretune.data.sources._named_source import NamedSource
from puretune.errors import InputError

_INSTRUCTION = "Answer with the letter of the correct option."


def lettered(query: str, options: list[str]) -> str:
    """A question with its options, one a line, as it is put to a model."""
    lines = (f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False))
    return "\n".join([query, "", *lines, "", _INSTRUCTION])


def _convert(row: Row) -> Draft:
    required(row, "choices", "answerKey")
    options, labels = _options(row.fields["choices"], row.where)
    key = row.fields["answerKey"]
    if key not in labels:
        raise InputError(f"{row.where}: answerKey {key!r} is not one of the labels {', '.join(labels)}.")
    letter = ascii_uppercase[labels.index(key)]
    question = text_of(row, "question")
    return single_turn(
        row,
        lettered(question, options),
        letter,
        metadata={"letter": letter, "choices": options, "question": question},
    )


def _options(choices: Any, where: str) -> tuple[list[str], list[str]]:
    """The options' texts and labels; both of the shapes in which ``datasets`` and JSON files hold them."""
    if isinstance(choices, list) and all(isinstance(c, Mapping) for c in choices):
        choices = {name: [c.get(name) for c in choices] for name in ("text", "label")}
    if not isinstance(choices, Mapping) or not {"text", "label"} <= set(choices):
        raise InputError(f"{where}: 'choices' must be an object with the lists 'text' and 'label'.")
    texts, labels = list(choices["text"]), [str(label) for label in choices["label"]]
    if len(texts) != len(labels) or not 2 <= len(texts) <= len(ascii_uppercase):
        raise InputError(
            f"{where}: {len(texts)} options and {len(labels)} labels; the numbers must be equal, 2 to 26."
        )
    return [plain_text(text, f"{where}: an option") for text in texts], labels


def _arc(name: str, config: str, train: int, test: int, validation: int) -> NamedSource:
    return NamedSource(
        name=name,
        what=f"science questions with lettered options ({config})",
        licence="CC BY-SA 4.0",
        home="https://huggingface.co/datasets/allenai/ai2_arc",
        hub="allenai/ai2_arc",
        config=config,
        splits={"test": test, "train": train, "validation": validation},
        fields=("id", "question", "choices", "answerKey"),
        convert=_convert,
        id_field="id",
    )


ARC_EASY = _arc("arc-easy", "ARC-Easy", train=2251, test=2376, validation=570)
ARC_CHALLENGE = _arc("arc-challenge", "ARC-Challenge", train=1119, test=1172, validation=299)
