"""What an endpoint has answered so far, one line each: a stopped run resumes without paying twice.

{"ask": "9f2c...", "reply": {"text": "4", "model": "gpt-3.5-turbo-0125", ...}, "sha256": "..."}

Every line has the digest of its own other entries. Journals in one directory are read together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from puretune.endpoints import Reply
from puretune.errors import EnvironmentFault
from puretune.files import regular
from puretune.store import Say, json_lines, key_of, make_directory, set_aside, write_text
from puretune.visible import visible

_PATTERN = "replies-*.jsonl"


class Journal:
    """Replies by the hash of their request, in a file that only grows. ``path`` None: in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Reply] = {}
        for file in sorted({path, *path.parent.glob(_PATTERN)}) if path is not None else ():
            self._known |= dict(_sound(_lines(file)))
        self._whole_line = path is None or not _cut_off(path)

    def get(self, ask: str) -> Reply | None:
        """The reply to a request, if there is one."""
        return self._known.get(ask)

    def put(self, ask: str, reply: Reply) -> None:
        """Keep a reply, on disk before anything else happens. EnvironmentFault if the disk is full."""
        self._known[ask] = reply
        if self._path is None:
            return
        make_directory(self._path.parent)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(("" if self._whole_line else "\n") + _line(ask, reply))
                file.flush()
                os.fsync(file.fileno())
                self._whole_line = True
        except OSError as error:
            raise EnvironmentFault(
                f"{visible(self._path)}: cannot be written: {error.strerror}. Make room and run the same "
                "command again: what was answered before is kept."
            ) from error


def mend_journals(directory: Path, say: Say) -> None:
    """Set aside every journal in a directory that has damaged lines; its sound lines are kept in a new one.

    A last line that a crash cut off is not damage: it was never finished.
    """
    for file in directory.glob(_PATTERN):
        lines = _lines(file)
        sound = dict(_sound(lines))
        whole = [line for line in lines if line.strip()]
        if whole and _cut_off(file):
            whole.pop()
        damaged = len(whole) - sum(1 for _ in _sound(whole))
        if damaged or not file.is_file():
            set_aside(file, f"{damaged:,} of {len(whole):,} lines are not what was written", say)
            write_text(file, "".join(_line(ask, reply) for ask, reply in sound.items()))


def _line(ask: str, reply: Reply) -> str:
    content = {"ask": ask, "reply": asdict(reply)}
    return json_lines([{**content, "sha256": key_of(content)}])


def _lines(path: Path) -> list[str]:
    try:
        return regular(path).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []


def _cut_off(path: Path) -> bool:
    """Whether the last line of a file has no end."""
    lines = _lines(path)
    return bool(lines) and lines[-1] != ""


def _sound(lines: list[str]) -> Iterator[tuple[str, Reply]]:
    """Request and reply of every line that is as it was written."""
    for line in lines:
        try:
            content: dict[str, Any] = json.loads(line)
            digest = content.pop("sha256")
            reply = Reply(**{**content["reply"], "token_ids": tuple(content["reply"]["token_ids"])})
            if digest == key_of(content):
                yield str(content["ask"]), reply
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
