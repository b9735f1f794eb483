"""What a model's chat template does to the rows of a file, counted, for ``data check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from puretune.errors import InputError
from puretune.templates._message import Message
from puretune.templates._prompt_template import PromptTemplate
from puretune.templates._render import Renderer

_BARE = PromptTemplate("bare", own_system="keep")


def row_notes(renderer: Renderer, rows: Iterable[Sequence[Message]]) -> list[str]:
    """A sentence for each thing that happens to rows under a bare chat template, with how many rows it
    happens to: white space trimmed, text dropped or added, thoughts that need a policy.
    """
    if renderer.markup is None:
        return []
    found: Counter[str] = Counter()
    shown: dict[str, str] = {}
    for messages in rows:
        for kind, note in _notes(renderer, messages):
            found[kind] += 1
            shown.setdefault(kind, note)
    return [f"{count:,} rows, such as: {shown[kind]}" for kind, count in found.items()]


def _notes(renderer: Renderer, messages: Sequence[Message]) -> list[tuple[str, str]]:
    """What happens to one row: its kind (the words before the first text of the row) and its sentence."""
    trains = messages[-1].role == "assistant"
    try:
        made = renderer.example(_BARE, messages) if trains else renderer.prompt(_BARE, messages)
    except InputError as error:
        sentence = " ".join(str(error).split())
        return [(sentence.split(":")[0].split(",")[0][:60], sentence)]
    return [(note.split("(")[0], note) for note in made.notes]
