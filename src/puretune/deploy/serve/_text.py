"""From token ids to pieces of text: nothing is shown that a later token could change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from puretune.deploy.serve._backend import Piece
from puretune.models import BaseModel

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What half a character is decoded to."""


def pieces(tokens: Iterable[int], base: BaseModel, prompt: int, stop: Sequence[str]) -> Iterator[Piece]:
    """The answer as it is written; the last piece has ``finish``. ``stop``: texts that end it, left out."""
    ids: list[int] = []
    shown, ended = 0, False
    for token in tokens:
        ids.append(token)
        text, ended = cut(base.renderer.parse(tuple(ids)), stop)
        ready = len(text) if ended else stable(text, stop)
        if ready > shown:
            yield Piece(text[shown:ready])
            shown = ready
        if ended:
            break
    text, ended = cut(base.renderer.parse(tuple(ids)), stop)
    done = ended or bool(ids and ids[-1] in base.renderer.stop_ids)
    yield Piece(text[shown:], "stop" if done else "length", prompt, len(ids))


def cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop text, and whether there is one."""
    places = [place for place in map(text.find, stop) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)


def stable(text: str, stop: Sequence[str]) -> int:
    """How much of the text no later token can change: not half a character, not the start of a stop text."""
    ready = len(text.rstrip(_UNFINISHED).rstrip())
    for one in stop:
        for length in range(min(len(one) - 1, ready), 0, -1):
            if text[:ready].endswith(one[:length]):
                ready -= length
                break
    return ready
