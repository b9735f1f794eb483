"""Broken and hostile values, and mutations of right ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "%s",
            "%",
            "\0",
            "\x1b]0;T\x07",
            "\u202e",
            "[/b]",
            "[red]y",
            "\ud800",
            "~nosuchuser/x",
            ".",
            "/",
            "..",
            "/dev/null",
            "x" * 300,
            "x" * 5000,
            "2024-13-45",
            "{{7*7}}",
            "!!python/name:os.system",
            "nan",
            "1e999",
            "CV",
            "lab",
            "untuned",
            "http://127.0.0.1:99999/v1",
        ]
    ),
    st.text(max_size=20),
)
NUMBERS = st.one_of(
    st.sampled_from(
        [0, -1, 2**31, 2**63, 10**30, 10**400, 5e-324, 1e308, float("nan"), float("inf"), -0.0, True, False]
    ),
    st.integers(),
    st.floats(),
)
DEEP = st.integers(1, 400).map(lambda n: json.loads("[" * n + "]" * n))
JUNK = st.recursive(
    st.one_of(st.none(), NUMBERS, TEXTS, DEEP),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(TEXTS, st.integers()), inner, max_size=4)
    ),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a nested value, the value itself first."""
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*at, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*at, number))


@st.composite
def mutated(draw: st.DrawFn, right: Any) -> Any:
    """``right`` with one to three values replaced, added under a new key, or taken out."""
    value = copy.deepcopy(right)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(list(places(value))))
        if not at:
            if draw(st.integers(0, 9)) == 0:
                return draw(JUNK)
            if isinstance(value, dict):
                value[draw(TEXTS)] = draw(JUNK)
            continue
        holder = value
        for part in at[:-1]:
            holder = holder[part]
        if draw(st.booleans()) or isinstance(holder, list):
            holder[at[-1]] = draw(JUNK)
        else:
            del holder[at[-1]]
    return value


@st.composite
def damaged(draw: st.DrawFn, right: bytes) -> bytes:
    """Bytes with a part cut out, doubled, or overwritten."""
    start = draw(st.integers(0, len(right)))
    end = draw(st.integers(start, min(len(right), start + 40)))
    what = draw(
        st.sampled_from([b"", right[start:end] * 2, b"\xff\xfe", b"\0", b"[" * 2000, b"{", b'"', b"\n"])
    )
    return right[:start] + what + right[end:]
