"""Where examples come from: the description of a source, and what a source is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from puretune.data._example import Example
from puretune.errors import InputError


@dataclass(frozen=True)
class SourceSpec:
    """A source and how to draw from it. Frozen: its fields are inputs of the keys of what is made from it."""

    source: str
    """A named source (``gsm8k``), a file (``my.jsonl``), or a hub id (``owner/name``)."""
    path: Path | None = None
    """Where a named source lies on this machine (a file, or a directory with a file per split), in place of
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
    """Canonical column -> the file's column, for files that name them otherwise."""
    limit: int | None = None
    """At most so many examples, drawn with ``seed`` (None: all, in their order)."""
    seed: int = 0
    deduplicate: bool = True
    """Drop examples whose conversation has been seen (after white-space folding)."""
    longest: int | None = None
    """Leave out conversations of more than so many characters (None: none); what is left is never cut."""
    hold_out: float = 0.0
    """For data without splits of its own: the share of prompts, 0 to 1, that is ``split: test``; the rest is
    ``split: train``. A prompt's side depends on its text and ``hold_out_seed`` alone, never on ``seed`` or
    ``limit``, so that specs with the same ``hold_out`` and ``hold_out_seed`` never share a prompt across
    the cut."""
    hold_out_seed: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(
                f"{self.source}: limit is {self.limit}; use a whole number from 1, or leave it out."
            )
        if self.longest is not None and self.longest < 1:
            raise InputError(f"{self.source}: longest is {self.longest}; use a number of characters from 1.")
        if not 0 <= self.hold_out < 1:
            raise InputError(f"{self.source}: hold_out is {self.hold_out}; use a share from 0 to below 1.")
        if self.hold_out and self.split not in ("train", "test"):
            raise InputError(
                f"{self.source}: hold_out cuts the data in two; say which side: split train or split test."
            )


Source = Callable[[SourceSpec, Path | None], Iterable[Example]]
"""(spec, directory of the study's base model or None) -> examples in order; sampling is the caller's."""
