"""The words the tokenizer knows: the fixed English, the built-in templates, the invented words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from puretune.lab import corpus, phrases, sums, tasks
from puretune.lab.language import World

_FIXED = (
    " 0 1 2 3 4 5 6 7 8 9 + - * = #### . , : ? ! ( ) ' \" ; / a b c d",
    "0:1:2:3:4:5:6:7:8:9+-*=.,?!()'\";/####",
    "a\nb\n\nc\td\nstep\nsums",
)
NUMBERS = 200
"""Smaller numbers are one token each; longer runs of digits are spelt digit by digit."""
_ANSWERS = " step 1: take the . step 2: the and the needs the user assistant sums: step"


def texts(world: World) -> Iterator[str]:
    """Texts that together hold every word of every stage, suite and built-in template."""
    yield from _FIXED
    yield _ANSWERS
    for module in (phrases, sums, tasks, corpus):
        for name, value in vars(module).items():
            if name.isupper() or name[1:].isupper():
                yield from _strings(value)
    yield " " + " ".join(map(str, range(NUMBERS)))
    yield " " + " ".join(world.words)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield " " + value
        yield from re.findall("[a-z]+", value)
    elif isinstance(value, tuple):
        for item in value:
            yield from _strings(item)
