"""Where examples come from: the description of a source, and what a source is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from puretune.data._example import Example
from puretune.errors import InputError
from puretune.visible import one_line

Markup = Literal["refuse", "keep"]
_MOST, _LARGEST_SEED = 10**9, 2**63


@dataclass(frozen=True)
class SourceSpec:
    """A source and how to draw from it. Frozen: its fields are inputs of the keys of what is made from it."""

    source: str
    """A named source (``gsm8k``), a file (``my.jsonl``), or a hub id (``owner/name``)."""
    path: Path | None = None
    """Where a named source is on this machine (a file, or a directory with a file per split), in place of
    the hub."""
    split: str | None = None
    """``train``, ``test``, ...; None: the source's usual one for the purpose."""
    config: str | None = None
    """The hub data set's configuration (``main``)."""
    revision: str | None = None
    """The hub revision (a commit hash pins it)."""
    format: str | None = None
    """``messages``, ``prompt-completion``, ``alpaca``, ``sharegpt``, ``question-answer``;
    None: by the columns."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical column -> the file's column, for files with other column names."""
    limit: int | None = None
    """At most this many examples, drawn with ``seed`` (None: all, in their order)."""
    seed: int = 0
    deduplicate: bool = True
    """Drop examples whose conversation has been seen (after white-space folding)."""
    longest: int | None = None
    """Leave out conversations of more than this many characters (None: none); what is left is never cut."""
    hold_out: float = 0.0
    """For data without its own splits: the share of prompts, 0 to 1, that is ``split: test``; the rest is
    ``split: train``. A prompt's side depends on its text and ``hold_out_seed`` alone, never on ``seed`` or
    ``limit``, so that specs with the same ``hold_out`` and ``hold_out_seed`` never share a prompt across
    the cut."""
    hold_out_seed: int = 0
    ignore: tuple[str, ...] = ()
    """Columns and message fields of the file that are deliberately not used. Any other that has content
    and is not read is an error."""
    markup: Markup = "refuse"
    """What to do with texts that already contain a chat's turn markup (``[INST]``, ``<|im_start|>``):
    ``keep`` takes them as they are."""
    header: bool | None = None
    """Whether a CSV file's first line names its columns; without one they are called 1, 2, 3, ... None: it
    does, and a line that does not look like it is an error."""
    delimiter: str | None = None
    """The separator of a CSV file: one character, or ``tab``. None: a comma (a tab in .tsv)."""

    def __post_init__(self) -> None:
        for name, what in (("limit", "examples"), ("longest", "characters")):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not 1 <= value <= _MOST):
                raise self._fault(name, f"use a whole number of {what} from 1 to {_MOST:,}, or leave it out")
        for name in ("seed", "hold_out_seed"):
            if isinstance(getattr(self, name), bool) or abs(getattr(self, name)) >= _LARGEST_SEED:
                raise self._fault(name, "use a whole number below 2**63")
        if not 0 <= self.hold_out < 1:
            raise self._fault("hold_out", "use a share from 0 to below 1")
        if self.hold_out and self.split not in ("train", "test"):
            raise InputError(
                f"{one_line(self.source)}: hold_out cuts the data in two; say which side: split train or "
                "split test."
            )
        if self.hold_out_seed and not self.hold_out:
            raise self._fault("hold_out_seed", "without hold_out it is not read; leave it out")
        if self.markup not in ("refuse", "keep"):
            raise self._fault("markup", "use refuse or keep")
        if self.delimiter is not None and self.delimiter != "tab" and not _separates(self.delimiter):
            raise self._fault("delimiter", "use one character that separates cells, or tab")

    def _fault(self, name: str, advice: str) -> InputError:
        value = getattr(self, name)
        return InputError(f"{one_line(self.source)}: {name} is {one_line(value, 40) or 'empty'}; {advice}.")


def _separates(text: str) -> bool:
    return text == "\t" or (len(text) == 1 and text.isprintable() and not text.isalnum() and text != '"')


Source = Callable[[SourceSpec, Path | None], Iterable[Example]]
"""(spec, directory of the study's base model or None) -> examples in order; sampling is the caller's."""

SETTINGS_READ = "settings_read"
"""The attribute in which an offered source says which of a spec's settings it reads beyond ``split``: any of
:data:`READING`. A study that gives it another is told so."""
READING = ("path", "split", "config", "revision", "format", "columns", "ignore", "header", "delimiter")
"""The settings that say where and how to read; the others say what to draw, and hold for every source."""
