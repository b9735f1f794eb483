"""A second process in addition to this one, where a small model would leave a processor idle.

It is forked, so it has the plan and the loaded model already, and all it does is put things where this
process looks for them. Whatever it has not done, this process does afterwards: only the time depends on it.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import NoReturn

from puretune.events import Event, EventSink
from puretune.models import BaseModel, is_small
from puretune.processes import end_with_parent

_Work = Callable[[EventSink], object]

_PATIENCE, _GRACE = 2.0, 30.0
"""The other process may take this many times as long as this one, and this many seconds more."""


def has_room(base: BaseModel) -> bool:
    """Whether two processes are of use: a small model on one thread of a processor, on Linux."""
    import torch

    return (
        sys.platform == "linux"
        and base.device.type == "cpu"
        and torch.get_num_threads() == 1
        and len(os.sched_getaffinity(0)) > 1
        and is_small(base.model)
    )


@contextmanager
def beside(work: _Work, on_event: EventSink, meanwhile: Iterable[object] = ()) -> Iterator[None]:
    """Runs ``work`` in another process while the block runs, and waits for it at the end.

    Where it is done before the block, it continues with ``meanwhile``, item by item, until the block ends.
    ``on_event`` gets its events too, from a thread. An error there ends it silently; it is ended where the
    block raises, and where it takes far longer than the block.
    """
    receive, send = Pipe(duplex=False)
    over = mmap.mmap(-1, 1)  # one byte that both see
    here = os.getpid()
    other = os.fork()
    if other == 0:
        _be_the_other(_both(work, meanwhile, over), send, here)
    send.close()
    listener = Thread(target=_pass_on, args=(receive, on_event), daemon=True)
    listener.start()
    began = time.monotonic()
    try:
        yield
        over[0] = 1
        listener.join(_PATIENCE * (time.monotonic() - began) + _GRACE)
    finally:
        os.kill(other, signal.SIGKILL)  # without effect if it has already ended
        os.waitpid(other, 0)
        listener.join()


def _both(work: _Work, meanwhile: Iterable[object], over: mmap.mmap) -> _Work:
    """The work, and then item after item until there are none or the byte says that it is over."""

    def run(sink: EventSink) -> None:
        work(sink)
        items = iter(meanwhile)
        while not over[0] and next(items, items) is not items:
            pass

    return run


def _be_the_other(work: _Work, send: Connection, parent: int) -> NoReturn:
    """The life of the forked process. It prints nothing and leaves nothing of its parent's behind."""
    try:
        end_with_parent(parent)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (its parent's may be locked)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        work(send.send)
    finally:
        os._exit(0)


def _pass_on(receive: Connection, on_event: EventSink) -> None:
    """Events from the other process, until it ends."""
    with receive:
        while True:
            try:
                event: Event = receive.recv()
            except (EOFError, OSError):
                return
            on_event(event)
