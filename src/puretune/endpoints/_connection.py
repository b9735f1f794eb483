"""A connection to an endpoint: many requests at once, paced, retried, and stopped by the first error for
all."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from puretune.endpoints._address import Endpoint
from puretune.endpoints._rate_limit import Clock, Pace, Patience
from puretune.endpoints._reply import Trouble
from puretune.errors import PuretuneError

_Item = TypeVar("_Item")
_Reply = TypeVar("_Reply")


class _Stopped(Exception):
    """Another request has stopped the line."""


class Line:
    """Makes requests to one endpoint, within one event loop."""

    def __init__(self, endpoint: Endpoint, most: int, clock: Clock, rng: random.Random) -> None:
        """``most``: requests at once; fewer while the endpoint is busy."""
        self._endpoint = endpoint
        self._most = most
        self._clock = clock
        self._rng = rng
        self._pace = Pace(most, clock)
        self._error: PuretuneError | None = None

    @property
    def note(self) -> str:
        """How fast it goes, in a few words."""
        return f"{self._pace.at_once} at once"

    async def run(self, items: Iterable[_Item], one: Callable[[_Item], Awaitable[None]]) -> None:
        """``one`` for every item, many at a time.

        Raises the first PuretuneError, after requests under way have ended.
        """
        left = deque(items)
        await asyncio.gather(*(self._work(left, one) for _ in range(min(self._most, len(left)))))
        if self._error is not None:
            raise self._error

    async def _work(self, left: deque[_Item], one: Callable[[_Item], Awaitable[None]]) -> None:
        while left and self._error is None:
            try:
                await one(left.popleft())
            except _Stopped:
                pass
            except PuretuneError as error:
                self._error = self._error or error

    async def ask(self, request: Callable[[], Awaitable[_Reply]]) -> _Reply:
        """The reply, after as many tries as the limits allow; Trouble only where the request is refused."""
        patience = Patience(self._endpoint, self._clock, self._rng)
        while True:
            async with self._pace.turn() as number:
                if self._error is not None:
                    raise _Stopped
                try:
                    reply = await request()
                    self._pace.well()
                    return reply
                except Trouble as trouble:
                    wait = patience.after(trouble)
                    if trouble.kind == "busy":
                        self._pace.busy(number, wait if trouble.wait is not None else 0.0)
            await self._clock.sleep(wait)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, also from within a running event loop (a notebook's): then in its own thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    errors: list[BaseException] = []

    def apart() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=apart)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
