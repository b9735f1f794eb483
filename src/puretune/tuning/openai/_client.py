"""Requests about files and jobs, one at a time, through the client that every endpoint is asked with."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from puretune.endpoints import Client, Endpoint, Patience, Trouble, WallClock, run
from puretune.errors import EnvironmentFault

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_Result = TypeVar("_Result")
_AGAIN = "Run the same command again: the job is found by its id."


class Calls:
    """Asks a provider, each time over its own connection: minutes pass between two polls of a job."""

    def __init__(self, endpoint: Endpoint) -> None:
        """EnvironmentFault if the key is not set."""
        endpoint.key()
        self.endpoint = endpoint
        self._clock, self._rng = WallClock(), random.Random()

    def ask(
        self,
        request: Callable[[AsyncOpenAI], Awaitable[_Result]],
        before_next: Callable[[AsyncOpenAI], Awaitable[_Result | None]] | None = None,
    ) -> _Result:
        """What the request brings, after as many tries as the limits allow.

        ``before_next`` looks, before another try, whether the one that seems to have failed got through.
        """
        results: list[_Result] = []

        async def work() -> None:
            client = Client(self.endpoint)
            try:
                results.append(await self._tried(client, request, before_next))
            finally:
                await client.close()

        try:
            run(work())
        except Trouble as trouble:
            raise EnvironmentFault(f"{self.endpoint.where}: {trouble}. {_AGAIN}") from trouble
        except EnvironmentFault as error:
            raise EnvironmentFault(f"{error} {_AGAIN}") from error
        return results[0]

    async def _tried(
        self,
        client: Client,
        request: Callable[[AsyncOpenAI], Awaitable[_Result]],
        before_next: Callable[[AsyncOpenAI], Awaitable[_Result | None]] | None,
    ) -> _Result:
        patience = Patience(self.endpoint, self._clock, self._rng)
        while True:
            try:
                return await client.call(lambda: request(client.sdk))
            except Trouble as trouble:
                await self._clock.sleep(patience.after(trouble))
            if before_next is not None:
                there = await self._tried(client, before_next, None)
                if there is not None:
                    return there
