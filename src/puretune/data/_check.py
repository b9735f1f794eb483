"""Looking a data set over before anything is trained on it: what is in it, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from puretune.data._draw import folded
from puretune.data._example import Example
from puretune.data._read import read_examples
from puretune.data._source import SourceSpec
from puretune.data.sources import NAMED_SOURCES
from puretune.errors import InputError

State = Literal["ok", "note", "failed"]


@dataclass(frozen=True)
class DataCheck:
    """One thing that was looked at. ``note`` is worth knowing; ``failed`` must be put right."""

    name: str
    state: State
    found: str


@dataclass(frozen=True)
class DataReport:
    """What a look at a source found."""

    source: str
    checks: tuple[DataCheck, ...]
    problems: tuple[str, ...]
    """The message of every row that is no example (its place comes first)."""

    @property
    def passed(self) -> bool:
        return all(check.state != "failed" for check in self.checks)


def check_source(spec: SourceSpec, model: Path | None = None) -> DataReport:
    """Read a whole source, ``limit`` and ``hold_out`` aside, and look it over.

    Rows that are no example are collected, not raised. InputError where the source cannot be read as data at
    all: a missing or malformed file, unknown columns, nothing in it.
    """
    problems: list[str] = []
    examples = list(read_examples(spec, model, on_problem=lambda problem: problems.append(str(problem))))
    if not examples and not problems:
        raise InputError(f"{spec.path or spec.source}: no examples. Give a file that has some.")
    checks = [_rows(examples, problems, spec), _usable(problems)]
    if examples:
        checks += [_duplicates(examples), _repeated_prompts(examples), _roles(examples), _trained(examples)]
        checks += [_responses(examples), _lengths(examples)]
    return DataReport(spec.source, tuple(checks), tuple(problems))


def _rows(examples: Sequence[Example], problems: Sequence[str], spec: SourceSpec) -> DataCheck:
    count = len(examples) + len(problems)
    named = NAMED_SOURCES.get(spec.source)
    split = spec.split or (next(iter(named.splits)) if named else None)
    published = named.splits.get(split) if named and split else None
    if published is not None and published != count:
        return DataCheck("rows", "note", f"{count:,}; the published {split} split has {published:,}")
    return DataCheck("rows", "ok", f"{count:,}")


def _usable(problems: Sequence[str]) -> DataCheck:
    if problems:
        return DataCheck("usable rows", "failed", f"{len(problems):,} rows are no examples (below)")
    return DataCheck("usable rows", "ok", "all: ids differ, roles alternate, no text is empty")


def _duplicates(examples: Sequence[Example]) -> DataCheck:
    count = len(examples) - len({folded(e.messages) for e in examples})
    if count:
        return DataCheck("duplicates", "note", f"{count:,} conversations stand more than once; read once")
    return DataCheck("duplicates", "ok", "none")


def _repeated_prompts(examples: Sequence[Example]) -> DataCheck:
    answers: dict[str, set[str]] = {}
    for example in examples:
        answers.setdefault(folded(example.prompt_messages), set()).add(folded(example.messages))
    count = sum(len(found) > 1 for found in answers.values())
    if count:
        return DataCheck("prompts", "note", f"{count:,} prompts have several different responses")
    return DataCheck("prompts", "ok", f"{len(answers):,} different")


def _roles(examples: Sequence[Example]) -> DataCheck:
    turns = Counter(m.role for e in examples for m in e.messages)
    several = sum(sum(m.role == "user" for m in e.messages) > 1 for e in examples)
    counts = ", ".join(f"{turns[role]:,} {role}" for role in ("system", "user", "assistant"))
    return DataCheck("turns", "ok", f"{counts}; {several:,} examples with several user turns")


def _trained(examples: Sequence[Example]) -> DataCheck:
    """An example whose responses are all shown and none trained would teach nothing."""
    idle = [
        e
        for e in examples
        if (turns := [m for m in e.messages if m.role == "assistant"]) and not any(m.train for m in turns)
    ]
    if idle:
        return DataCheck("trained turns", "failed", f"{len(idle):,} examples train none, first {idle[0].id}")
    return DataCheck("trained turns", "ok", "every example with a response trains one")


def _responses(examples: Sequence[Example]) -> DataCheck:
    without = sum(e.reference is None for e in examples)
    if without == len(examples):
        return DataCheck("responses", "note", "none: prompts to test with, not to train on")
    if without:
        return DataCheck("responses", "failed", f"{without:,} of {len(examples):,} examples have none")
    return DataCheck("responses", "ok", "every example has one")


def _lengths(examples: Sequence[Example]) -> DataCheck:
    parts = [("prompts", [sum(len(m.content) for m in e.prompt_messages) for e in examples])]
    parts.append(("responses", [len(e.reference) for e in examples if e.reference is not None]))
    found = [f"{name}: median {median(n):,.0f}, longest {max(n):,}" for name, n in parts if n]
    return DataCheck("characters", "ok", "; ".join(found))
