"""The work of this process and a forked one, on one thread each: as studies tune and answer small models."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from puretune.inference import Request

Tokens = dict[str, tuple[int, ...]]
"""Generated ids by request."""

_Item, _Found = TypeVar("_Item"), TypeVar("_Found")


def answered_in_two(asked: Sequence[Request], answering: Callable[[list[Request]], Tokens]) -> Tokens:
    """Every other queue (adapter and template) is answered in a second process."""
    here, there = (_flat(queues(asked)[first::2]) for first in (0, 1))
    return in_two(here, there, answering)


def in_two(
    here: list[_Item], there: list[_Item], work: Callable[[list[_Item]], dict[str, _Found]]
) -> dict[str, _Found]:
    """What ``work`` makes of both lists, of the second in a second process."""
    import torch

    with tempfile.TemporaryDirectory() as scratch, _threads(1):
        file = Path(scratch) / "found"

        def other() -> None:
            torch.set_num_threads(1)
            file.write_bytes(pickle.dumps(work(there)))

        process = get_context("fork").Process(target=other, daemon=True)
        process.start()
        found = work(here)
        process.join()
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
