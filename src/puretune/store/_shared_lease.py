"""A lease in a bucket: one process at a time works on a plan, whatever machine it is on.

The holder writes its name again and again. Who finds a name that is old, by the bucket's clock, takes over;
so clocks of machines do not matter. Two drivers would make nothing wrong, only some of it twice.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from puretune.errors import EnvironmentFault
from puretune.store._bucket import Bucket, Found, Version
from puretune.store._files import is_alive
from puretune.store._keys import key_of
from puretune.visible import visible

BEAT, PATIENCE = 20.0, 90.0
"""Seconds between heartbeats, and without one until another process may take over."""
_TRIES = 5


class SharedLease:
    """A plan's lease; hold it in a ``with`` block."""

    def __init__(self, bucket: Bucket, key: str, beat: float = BEAT, patience: float = PATIENCE) -> None:
        self._bucket, self._name = bucket, f"leases/{key}.json"
        self._beat, self._patience = beat, patience
        self._token = secrets.token_hex(8)
        self._version: Version = {}
        self._lost = ""
        self._end = Event()
        self._thread = Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        """Take the lease; EnvironmentFault at once, naming the holder, where another process has it."""
        for _ in range(_TRIES):
            if self._take():
                self._thread.start()
                return self
        raise EnvironmentFault(
            f"{self._where} is taken by others again and again. Run the same command again."
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        if not self._lost:
            with suppress(EnvironmentFault):  # it frees itself when it is old
                self._bucket.put(self._name, b"", over=self._version)

    def check(self) -> None:
        """EnvironmentFault if another process has taken over."""
        if self._lost:
            raise EnvironmentFault(
                f"{self._where} was taken over by {self._lost}: this process was not heard of for "
                f"{self._patience:.0f} s. What it published is kept. Let the other one finish."
            )

    @property
    def _where(self) -> str:
        return f"{self._bucket.url}/{self._name}"

    def _take(self) -> bool:
        """One try: False where somebody else changed the lease meanwhile."""
        if self._write(None):
            return True
        found = self._bucket.get(self._name)
        if found is None:
            return False
        if found.size and not _died_here(found):
            silent = (self._bucket.now() - found.modified).total_seconds()
            if silent <= self._patience:
                raise EnvironmentFault(self._busy(found, silent))
        return self._write(found.version)

    def _write(self, over: Version | None) -> bool:
        """Write our name, over what was there; True also where that happened and the answer was lost."""
        text = json.dumps({"token": self._token, **_me()}).encode()
        version = self._bucket.put(self._name, text, over=over, new=over is None)
        if version is None:
            found = self._bucket.get(self._name)
            if found is None or _noted(found).get("token") != self._token:
                return False
            version = found.version
        self._version = version
        return True

    def _keep(self) -> None:
        while not self._end.wait(self._beat):
            try:
                if not self._write(self._version):
                    self._lost = _holder(self._bucket.get(self._name))
                    return
            except EnvironmentFault:  # the next beat may come through
                continue

    def _busy(self, found: Found, silent: float) -> str:
        return (
            f"{self._where}: {_holder(found)} works on this study (last heartbeat {silent:.0f} s ago). "
            "Wait until it is done, or stop it. If it died, run the same command again in "
            f"{self._patience - silent:.0f} s."
        )


def _me() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine()}


def _machine() -> str:
    """Where a process number means the same process: this boot of this machine, in this container."""
    reads: list[Callable[[], object]] = [
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text("ascii"),
        lambda: Path("/proc/self/ns/pid").readlink(),
    ]
    parts = [socket.gethostname()]
    for read in reads:
        with suppress(OSError):
            parts.append(str(read()))
    return key_of({"machine": parts})[:16]


def _noted(found: Found) -> dict[str, Any]:
    try:
        noted = json.loads(found.content)
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}


def _holder(found: Found | None) -> str:
    noted = _noted(found) if found is not None else {}
    named = {"pid", "host"} <= set(noted)
    return visible(f"process {noted['pid']} on {noted['host']}", kept="") if named else "another process"


def _died_here(found: Found) -> bool:
    noted = _noted(found)
    pid = noted.get("pid")
    return noted.get("machine") == _machine() and isinstance(pid, int) and not is_alive(pid)
