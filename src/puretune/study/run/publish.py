"""Publishing without waiting for the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from puretune.store import Store

_WRITERS = 4
"""Threads that publish: they wait for the disk, hardly for the processor."""


@contextmanager
def publishing(store: Store) -> Iterator[Callable[..., None]]:
    """``put_lines`` that does not wait for the disk; all is published when the block ends without an error,
    and what was given away before an error as well."""
    with ThreadPoolExecutor(_WRITERS) as writers:
        under_way: list[Future[Any]] = []

        def publish(*content: Any) -> None:
            for one in [one for one in under_way if one.done()]:
                under_way.remove(one)
                one.result()
            under_way.append(writers.submit(store.put_lines, *content))

        yield publish
        for one in under_way:
            one.result()
