"""What an endpoint has answered so far, one line each: a stopped run goes on without paying twice.

{"ask": "9f2c...", "reply": {"text": "4", "model": "gpt-3.5-turbo-0125", "finish": "stop", ...}}
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from puretune.errors import EnvironmentFault
from puretune.inference.endpoint import Reply
from puretune.store import json_lines, make_directory


class Journal:
    """Replies by the hash of their request, in a file that only grows. ``path`` None: in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known = _read(path) if path is not None else {}

    def get(self, ask: str) -> Reply | None:
        """The reply to a request, where there is one."""
        return self._known.get(ask)

    def put(self, ask: str, reply: Reply) -> None:
        """Keep a reply, on disk before anything else happens. EnvironmentFault where the disk is full."""
        self._known[ask] = reply
        if self._path is None:
            return
        make_directory(self._path.parent)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json_lines([{"ask": ask, "reply": asdict(reply)}]))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise EnvironmentFault(
                f"{self._path}: cannot be written: {error.strerror}. Make room and run the same command "
                "again: what was answered before is kept."
            ) from error


def _read(path: Path) -> dict[str, Reply]:
    """All whole lines; one that a crash cut off counts as never written."""
    known = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    for line in text.split("\n"):
        try:
            content = json.loads(line)
            reply = content["reply"]
            known[str(content["ask"])] = Reply(**{**reply, "token_ids": tuple(reply["token_ids"])})
        except (ValueError, KeyError, TypeError):
            continue
    if text and not text.endswith("\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    return known
