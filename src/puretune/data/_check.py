"""Checks of a data set before anything is trained on it: what is in it, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from puretune.data._example import Example
from puretune.data._markup import Mark, marks_in, special_tokens, told
from puretune.data._read import read_examples
from puretune.data._row import line_of_place
from puretune.data._sampling import Drawn, folded
from puretune.data._source import SourceSpec
from puretune.data._unread_columns import NotRead, yaml_list
from puretune.data.sources import NAMED_SOURCES
from puretune.errors import InputError
from puretune.thoughts import thinking_in
from puretune.visible import visible

MOST_PROBLEMS = 1000
"""Messages about rows that a report keeps; the rest is counted."""

MOST_REASONS = 200
"""Different reasons that a report tells apart."""

State = Literal["ok", "note", "failed"]


@dataclass(frozen=True)
class DataCheck:
    """One thing that was checked. ``note`` is worth knowing; ``failed`` must be put right."""

    name: str
    state: State
    found: str


@dataclass(frozen=True)
class DataReport:
    """What a look at a source found."""

    source: str
    checks: tuple[DataCheck, ...]
    problems: tuple[str, ...]
    """The messages of rows that cannot be read (file and line come first): the first thousand."""
    reasons: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The first message of each kind, with the lines (or row numbers) of all; the most frequent first."""
    bad_rows: int = 0
    """How many rows cannot be read."""
    examples: tuple[Example, ...] = ()
    """The rows that can be read."""

    @property
    def passed(self) -> bool:
        return all(check.state != "failed" for check in self.checks)


class _Problems:
    """Rows that cannot be read: all counted, the first told."""

    def __init__(self) -> None:
        self.count = 0
        self.messages: list[str] = []
        self._lines: dict[str, list[int]] = {}
        self._first: dict[str, str] = {}

    def add(self, problem: InputError) -> None:
        self.count += 1
        if self.count <= MOST_PROBLEMS:
            self.messages.append(str(problem))
        where, _, reason = str(problem).partition(": ")
        reason = reason if reason in self._lines or len(self._lines) < MOST_REASONS else ""
        self._lines.setdefault(reason, []).append(line_of_place(where))
        self._first.setdefault(reason, str(problem) if reason else "Other reasons.")

    @property
    def reasons(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What is wrong, the most frequent first."""
        ordered = sorted(self._lines.items(), key=lambda item: -len(item[1]))
        return tuple((self._first[reason], tuple(lines)) for reason, lines in ordered)


def check_source(spec: SourceSpec, model: Path | None = None) -> DataReport:
    """Read a whole source, ``limit`` and ``hold_out`` aside, and look it over.

    Rows that cannot be read are collected, not raised. With ``model``, a directory, its special tokens are
    looked for in the texts. InputError if the source cannot be read as data at all: a missing or malformed
    file, unknown columns, nothing in it.
    """
    problems, not_read = _Problems(), NotRead()
    examples = list(read_examples(spec, model, problems.add, not_read))
    if not examples and not problems.count:
        raise InputError(f"{visible(spec.path or spec.source)}: no examples. Give a file that has some.")
    if not examples and not not_read.rows:
        raise InputError(problems.messages[0])
    checks = [_rows(len(examples) + problems.count, spec), _usable(problems)]
    if examples:
        checks += [_not_read(not_read, spec), _markup(examples, spec, model)]
        checks += [_thoughts(examples), _duplicates(examples), _repeated_prompts(examples)]
        checks += [_roles(examples), _trained(examples)]
        checks += [_responses(examples), _lengths(examples)]
    found = tuple(problems.messages)
    return DataReport(spec.source, tuple(checks), found, problems.reasons, problems.count, tuple(examples))


def notes_on(drawn: Drawn, spec: SourceSpec) -> list[str]:
    """What ``puretune run`` would not take as it is, each in a sentence."""
    checks = [_not_read(drawn.not_read, spec), _told_markup(drawn.marks, spec)]
    return [f"{check.name}: {check.found}" for check in checks if check.state != "ok"]


def _not_read(not_read: NotRead, spec: SourceSpec) -> DataCheck:
    names = [*not_read.columns, *(name for name in not_read.fields if name not in not_read.columns)]
    if not names:
        return DataCheck("columns", "ok", "all that have content are read")
    refused = not_read.must_be_said(spec.ignore)
    told = ", ".join(not_read.told(name) for name in [*refused, *(n for n in names if n not in refused)][:20])
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    needs = f"; `puretune run` needs them mapped, or `ignore: {yaml_list(refused[:20])}`" if refused else ""
    return DataCheck("columns", "note", f"not read: {told}{more}{needs}")


def _markup(examples: Sequence[Example], spec: SourceSpec, model: Path | None) -> DataCheck:
    return _told_markup(marks_in(examples, special_tokens(model)), spec)


def _told_markup(marks: Sequence[Mark], spec: SourceSpec) -> DataCheck:
    if not marks:
        return DataCheck("markup", "ok", "no turn markup in the texts")
    needs = "" if spec.markup == "keep" else "; `puretune run` needs it removed, or `markup: keep`"
    return DataCheck("markup", "note", f"in the texts already: {told(marks)}{needs}")


def _thoughts(examples: Sequence[Example]) -> DataCheck:
    answers = [[m.content for m in e.messages if m.role == "assistant"] for e in examples]
    count = sum(any(thinking_in(answer)[0] for answer in said) for said in answers)
    if count:
        wants = "run wants `model: {thoughts: strip}`, or `train`"
        return DataCheck("thoughts", "note", f"{count:,} examples have answers with thoughts; {wants}")
    return DataCheck("thoughts", "ok", "no answer has any")


def _rows(count: int, spec: SourceSpec) -> DataCheck:
    named = NAMED_SOURCES.get(spec.source)
    split = spec.split or (next(iter(named.splits)) if named else None)
    published = named.splits.get(split) if named and split else None
    if published is not None and published != count:
        return DataCheck("rows", "note", f"{count:,}; the published {split} split has {published:,}")
    return DataCheck("rows", "ok", f"{count:,}")


def _usable(problems: _Problems) -> DataCheck:
    if problems.count:
        rows = "1 row" if problems.count == 1 else f"{problems.count:,} rows"
        return DataCheck("usable rows", "failed", f"{rows} cannot be read (below)")
    return DataCheck("usable rows", "ok", "all: ids differ, roles alternate, no text is empty")


def _duplicates(examples: Sequence[Example]) -> DataCheck:
    count = len(examples) - len({folded(e.messages) for e in examples})
    if count:
        return DataCheck("duplicates", "note", f"{count:,} conversations are repeated; each is read once")
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
    turns: Counter[str] = Counter(m.role for e in examples for m in e.messages)
    several = sum(sum(m.role == "user" for m in e.messages) > 1 for e in examples)
    roles = ("system", "user", "assistant", *(["tool"] if turns["tool"] else []))
    counts = ", ".join(f"{turns[role]:,} {role}" for role in roles)
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
