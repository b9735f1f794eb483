"""Whether two engines give the same answers, counted token by token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from puretune.errors import InputError
from puretune.inference._types import Answer


@dataclass(frozen=True)
class Agreement:
    """How two engines' answers to the same requests compare."""

    answers: int
    tokens: int
    """Of the first engine's answers."""
    equal_tokens: int
    """Of these, those before the first difference of their answer."""
    differing: tuple[tuple[str, int, int], ...]
    """Key, sample and place of the first different token, of every answer that differs."""

    def __str__(self) -> str:
        same = self.answers - len(self.differing)
        shown = ", ".join(f"{key} sample {sample} at token {at}" for key, sample, at in self.differing[:5])
        more = f" (first differences: {shown})" if shown else ""
        return (
            f"{same:,} of {self.answers:,} answers are equal token for token, "
            f"{self.equal_tokens:,} of {self.tokens:,} tokens up to the first difference{more}"
        )


def agreement(first: Iterable[Answer], second: Iterable[Answer]) -> Agreement:
    """Compare two engines' answers to the same requests. InputError if they answer different ones."""
    one = {(answer.key, answer.sample): answer.token_ids for answer in first}
    other = {(answer.key, answer.sample): answer.token_ids for answer in second}
    if one.keys() != other.keys():
        odd = sorted(one.keys() ^ other.keys())[0]
        raise InputError(
            f"request {odd[0]!r}, sample {odd[1]}, is answered only once. Ask both engines the same."
        )
    places = {key: _first_difference(ids, other[key]) for key, ids in one.items()}
    return Agreement(
        answers=len(one),
        tokens=sum(map(len, one.values())),
        equal_tokens=sum(len(ids) if places[key] is None else places[key] or 0 for key, ids in one.items()),
        differing=tuple((*key, at) for key, at in sorted(places.items()) if at is not None),
    )


def _first_difference(one: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    if one == other:
        return None
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
