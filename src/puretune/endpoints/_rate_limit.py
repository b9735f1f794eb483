"""How fast to ask: as many requests at once as the endpoint bears, and waits that grow.

Additive increase, multiplicative decrease (Chiu and Jain, 1989): one more request at once after as many
replies as are allowed at once; half as many when the endpoint says that it is busy.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from puretune.endpoints._address import Endpoint
from puretune.endpoints._reply import Trouble
from puretune.errors import EnvironmentFault

_FIRST = 4
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


class Clock(Protocol):
    """Time as a client sees it; tests bring their own."""

    def now(self) -> float:
        """Seconds, from any origin."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class WallClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Pace:
    """At most ``most`` concurrent requests, and none before the endpoint accepts one."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._allowed = float(min(most, _FIRST))
        self._active = 0
        self._not_before = 0.0
        self._slowed = -1
        self._asked = 0
        self._free = asyncio.Condition()

    @property
    def at_once(self) -> int:
        """How many requests are allowed at once now."""
        return int(self._allowed)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[int]:
        """Hold a place while the block runs; yields the request's number."""
        async with self._free:
            await self._free.wait_for(lambda: self._active < self.at_once)
            self._active += 1
            self._asked += 1
            number = self._asked
        try:
            while (wait := self._not_before - self._clock.now()) > 0:
                await self._clock.sleep(wait)
            yield number
        finally:
            async with self._free:
                self._active -= 1
                self._free.notify_all()

    def well(self) -> None:
        """A reply came."""
        self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)

    def busy(self, number: int, wait: float) -> None:
        """Request ``number`` met a busy endpoint. Those that were under way together slow down once."""
        self._not_before = max(self._not_before, self._clock.now() + wait)
        if number > self._slowed:
            self._allowed = max(1.0, self._allowed / 2)
            self._slowed = self._asked


class Patience:
    """How often one request has been tried, and how long to wait before the next try."""

    def __init__(self, endpoint: Endpoint, clock: Clock, rng: random.Random) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._rng = rng
        self._begun = clock.now()
        self._failures = self._pauses = 0

    def after(self, trouble: Trouble) -> float:
        """Seconds to wait. Raises ``trouble`` where the request is refused, EnvironmentFault at the end."""
        if trouble.kind == "refused":
            raise trouble
        if trouble.kind == "failed":
            self._failures += 1
            wait = backoff(self._failures, self._rng, trouble.wait)
        else:
            self._pauses += 1
            wait = backoff(self._pauses, self._rng, trouble.wait)
        self._check(trouble, wait)
        return wait

    def _check(self, trouble: Trouble, wait: float) -> None:
        limits, where = self._endpoint.limits, self._endpoint.where
        if self._failures >= limits.tries:
            raise EnvironmentFault(
                f"{where}: {trouble}, {limits.tries} times. Check base_url and the endpoint."
            )
        if self._clock.now() - self._begun + wait > limits.patience:
            asked = f" and asks to wait {trouble.wait:,.0f} s" if trouble.wait else ""
            raise EnvironmentFault(
                f"{where}: {trouble}{asked}; {limits.patience:,.0f} s are enough for one request. Try again "
                "later, or raise limits.patience."
            )


def backoff(turn: int, rng: random.Random, asked: float | None = None) -> float:
    """Seconds before try ``turn + 1`` (from 1): doubling, at most a minute, spread over its upper half.

    What the endpoint asks for (``asked``) is never undercut, and is spread a little upwards.
    """
    if asked is not None:
        return asked * (1 + 0.1 * rng.random())
    whole = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (turn - 1))
    return float(whole * (0.5 + 0.5 * rng.random()))
