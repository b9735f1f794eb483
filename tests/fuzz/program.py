"""The program in this process, and what must hold however it is called."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from puretune.cli import main

LONGEST = 30
"""Seconds until a command counts as hanging."""
_INTERNALS = re.compile(r"<class |object at 0x|NoneType|Traceback|pydantic|yaml\.|\bdict_|PosixPath")
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def ask(*arguments: str) -> Ended:
    """Run ``puretune ARGUMENTS``; asserts that it ends in time, in one message, without internal words."""
    ended = _run(arguments)
    said = f"puretune {' '.join(map(ascii, arguments))} ended with {ended.code}:\n{ended.err[-2000:]}"
    assert ended.code in (0, 1, 2, 3), said
    assert not _STEERING.search(ended.out + ended.err), said
    if ended.code in (2, 3):
        assert ended.err.count("puretune: ") >= 1, said
        assert not _INTERNALS.search(ended.err), said
        assert len(ended.err) < 20_000, said
    return ended


def _run(arguments: tuple[str, ...]) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["puretune", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _alarm():
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = before
    return Ended(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise AssertionError(f"no end within {LONGEST} s")

    kept = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, kept)
