"""The work of this process and a forked one, on one thread each: as studies answer small models."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from puretune.events import EventSink, ignore
from puretune.inference import Request
from puretune.study._beside import beside

Tokens = dict[str, tuple[int, ...]]
"""Generated ids by request."""


def in_two(asked: Sequence[Request], answering: Callable[[list[Request]], Tokens]) -> Tokens:
    """Every other queue (adapter and template) is answered in a second process."""
    import torch

    here, there = (_flat(queues(asked)[first::2]) for first in (0, 1))
    with tempfile.TemporaryDirectory() as scratch, _threads(1):
        file = Path(scratch) / "answers"

        def work(_: EventSink) -> None:
            torch.set_num_threads(1)
            file.write_bytes(pickle.dumps(answering(there)))

        with beside(work, ignore):
            found = answering(here)
        return found | pickle.loads(file.read_bytes())  # type: ignore[no-any-return]


def queues(asked: Sequence[Request]) -> list[list[Request]]:
    """The requests of each adapter and template, in their order."""
    found: dict[str, list[Request]] = {}
    for request in asked:
        found.setdefault(queue_of(request), []).append(request)
    return list(found.values())


def queue_of(request: Request) -> str:
    """``adapter/template`` of a request's key."""
    return "/".join(request.key.split("/")[:2])


def _flat(some: Sequence[list[Request]]) -> list[Request]:
    return [request for queue in some for request in queue]


@contextmanager
def _threads(number: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
