"""Drawing from a source: duplicates, the hold-out cut, the seeded sample. Pure functions of examples.

All three rest on hashes of the text, not on positions or on a random generator's state: a sample stays the
same when the program around it changes, and a smaller sample is the beginning of a larger one.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from puretune.data._example import Example
from puretune.data._markup import Mark
from puretune.data._source import SourceSpec
from puretune.data._unread_columns import NotRead
from puretune.errors import InputError
from puretune.templates import Message


@dataclass(frozen=True)
class Drawn:
    """What was drawn from a source, and out of how much."""

    examples: tuple[Example, ...]
    read: int
    """Examples in the source."""
    duplicates: int
    """Of these, dropped because their conversation had been seen."""
    held_out: int
    """Of the others, those on the other side of the hold-out cut."""
    too_long: int = 0
    """Of what is left, those longer than the spec's ``longest``."""
    not_read: NotRead = field(default_factory=NotRead)
    """Columns and message fields of the source that say something and were not used."""
    marks: tuple[Mark, ...] = ()
    """Turn markup in the texts that were drawn."""


def draw(examples: Iterable[Example], spec: SourceSpec) -> Drawn:
    """Examples as ``spec`` asks for them: no duplicates, one side of the cut, no long ones, the sample.

    Without a limit they keep their order. With one they come in the order of the draw, so that the sample of
    a smaller limit is a prefix of a larger one's, and one example's rank does not depend on the others.
    """
    tally = _Tally()
    kept = _short_enough(_one_side(_unseen(examples, spec, tally), spec, tally), spec, tally)
    if spec.limit is None:
        chosen = list(kept)
    else:
        chosen = heapq.nsmallest(spec.limit, kept, key=lambda e: _hash(spec.seed, "sample", e.messages))
    return Drawn(tuple(chosen), tally.read, tally.duplicates, tally.held_out, tally.too_long)


def data_digest(examples: Iterable[Example]) -> str:
    """SHA-256 (hex) over ids, messages, clusters and metadata, in order: equal digests, equal data.

    InputError if metadata is not JSON.
    """
    digest = hashlib.sha256()
    for example in examples:
        digest.update(_canonical(example).encode("utf-8") + b"\n")
    return digest.hexdigest()


def folded(messages: Iterable[Message]) -> str:
    """A conversation with its white space folded: what counts as the same content."""
    return json.dumps([[m.role, " ".join(m.content.split()), *_tools(m)] for m in messages])


def _tools(message: Message) -> tuple[str, ...]:
    """What a turn says about tools; nothing for all others."""
    said = (message.tool_calls, message.tool_call_id, message.name)
    return said if message.is_about_tools else ()


@dataclass
class _Tally:
    read: int = 0
    duplicates: int = 0
    held_out: int = 0
    too_long: int = 0


def _unseen(examples: Iterable[Example], spec: SourceSpec, tally: _Tally) -> Iterator[Example]:
    seen: set[bytes] = set()
    for example in examples:
        tally.read += 1
        if spec.deduplicate:
            content = hashlib.sha256(folded(example.messages).encode()).digest()
            if content in seen:
                tally.duplicates += 1
                continue
            seen.add(content)
        yield example


def _one_side(examples: Iterable[Example], spec: SourceSpec, tally: _Tally) -> Iterator[Example]:
    """Cut by the prompt alone: one question with two answers is never on both sides."""
    for example in examples:
        if spec.hold_out and _in_test(example, spec) != (spec.split == "test"):
            tally.held_out += 1
        else:
            yield example


def _short_enough(examples: Iterable[Example], spec: SourceSpec, tally: _Tally) -> Iterator[Example]:
    for example in examples:
        if spec.longest is not None and sum(len(m.content) for m in example.messages) > spec.longest:
            tally.too_long += 1
        else:
            yield example


def _in_test(example: Example, spec: SourceSpec) -> bool:
    point = int.from_bytes(_hash(spec.hold_out_seed, "hold-out", example.prompt_messages)[:8], "big")
    return point < spec.hold_out * 2**64


def _hash(seed: int, purpose: str, messages: Iterable[Message]) -> bytes:
    return hashlib.sha256(f"{purpose}\n{seed}\n{folded(messages)}".encode()).digest()


def _canonical(example: Example) -> str:
    value = {
        "id": example.id,
        "messages": [[m.role, m.content, m.train, *_tools(m)] for m in example.messages],
        "cluster": example.cluster,
        "metadata": dict(example.metadata),
    }
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"example {example.id!r}: its metadata is not JSON ({error}).") from error
