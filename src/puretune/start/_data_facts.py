"""What is in a user's file, as far as a study depends on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from puretune.data import Example, Mark, SourceSpec, check_source, draw_source
from puretune.errors import InputError
from puretune.visible import visible

FEW = 40
"""Below this many rows nothing is held out: what is left would say nothing."""
_SHORT = 5
"""Words of a short reference."""
_WORKED = re.compile(r"####\s*[-+$]?[\d.,]+\s*\Z")


@dataclass(frozen=True)
class DataFacts:
    """A file's rows and what a study has to say about them."""

    spec: SourceSpec
    examples: tuple[Example, ...]
    """Without duplicates."""
    duplicates: int
    unread: tuple[str, ...]
    """Columns and fields that have content and that no format reads."""
    marks: tuple[Mark, ...]

    @property
    def with_system(self) -> int:
        """Rows that have a system message."""
        return sum(any(turn.role == "system" for turn in one.messages) for one in self.examples)

    @property
    def several_turns(self) -> int:
        """Rows with more than one question."""
        return sum(sum(turn.role == "user" for turn in one.messages) > 1 for one in self.examples)

    @property
    def hold_out(self) -> float:
        """The share of prompts that is kept for a suite; 0 for few rows."""
        return 0.0 if len(self.examples) < FEW else 0.1 if len(self.examples) >= 200 else 0.2

    @property
    def scorers(self) -> tuple[tuple[str, ...], str]:
        """Scorers that fit the references, and why."""
        references = [one.reference or "" for one in self.examples]
        if all(_WORKED.search(text) for text in references):
            return ("gsm8k",), "every reference ends in #### and a number"
        words = median(len(text.split()) for text in references)
        if words <= _SHORT:
            return ("contains", "token_f1"), f"references are short (median {words:g} words)"
        return ("token_f1",), f"references are texts (median {words:g} words): their words are compared"


def data_facts(path: Path, format: str | None, columns: Mapping[str, str], model: Path | None) -> DataFacts:
    """What is in a file.

    InputError, with what repairs it, if it cannot be read, has rows that cannot, or rows without an answer.
    """
    spec = SourceSpec(str(path), format=format, columns=dict(columns))
    report = check_source(spec, model)
    if report.bad_rows:
        raise InputError(
            f"{visible(path)}: {report.bad_rows:,} rows cannot be read. First: {report.problems[0]} All: "
            f"puretune data check {visible(path)}. Repair: puretune data clean {visible(path)} --out "
            f"{visible(path.stem)}-clean.jsonl."
        )
    drawn = draw_source(spec, model)
    unanswered = [one.id for one in drawn.examples if one.reference is None]
    if unanswered:
        raise InputError(
            f"{visible(path)}: {len(unanswered):,} of {len(drawn.examples):,} rows have no answer to train "
            f"on, first {visible(unanswered[0])}. Repair: puretune data clean {visible(path)} --out "
            f"{visible(path.stem)}-clean.jsonl."
        )
    unread = tuple(drawn.not_read.must_be_said(()))
    spec = replace(spec, ignore=unread, markup="keep" if drawn.marks else "refuse")
    return DataFacts(spec, drawn.examples, drawn.duplicates, unread, drawn.marks)
