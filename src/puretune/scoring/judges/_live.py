"""Asking one request at a time, many at once: retries, pauses, the ledger after every reply.

A reply that breaks the contract is asked for again, ``attempts`` times in all; then the judgement is kept as
unparsed with the judge's words. An endpoint that fails for good stops the run: requests under way are
finished and kept, and one error says so.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime

from puretune.errors import PuretuneError
from puretune.scoring.judges._ask import Ask
from puretune.scoring.judges._client import Client, Reply, Trouble
from puretune.scoring.judges._contract import parse_reply
from puretune.scoring.judges._judgement import Judgement
from puretune.scoring.judges._ledger import Ledger
from puretune.scoring.judges._pace import Clock, Pace, Patience
from puretune.scoring.judges._spec import JudgeSpec

_LOOK_AGAIN = 1.0
"""Seconds between looks at requests that another process is making."""

Accept = Callable[[Judgement, str], None]
"""Called with every judgement, and a note on the pace; raises where the run must not go on with it."""


class _Stopped(Exception):
    """Another request has stopped the run."""


class Live:
    """Makes requests until the ledger has them all."""

    def __init__(
        self,
        spec: JudgeSpec,
        ledger: Ledger,
        client: Client,
        clock: Clock,
        rng: random.Random,
        accept: Accept,
    ) -> None:
        self._spec = spec
        self._ledger = ledger
        self._client = client
        self._clock = clock
        self._rng = rng
        self._accept = accept
        self._pace = Pace(spec.concurrency, clock)
        self._error: PuretuneError | None = None

    async def run(self, asks: Iterable[Ask], unusable: Collection[str] = ()) -> None:
        """Judge; ``unusable`` are ids of judgements in the ledger that do not count.

        Raises the first error that would be the same for every answer, after requests under way have ended.
        """
        left = deque(asks)
        while left and self._error is None:
            elsewhere: deque[Ask] = deque()
            workers = [
                self._work(left, elsewhere, unusable) for _ in range(min(self._spec.concurrency, len(left)))
            ]
            await asyncio.gather(*workers)
            left = elsewhere
            if left and self._error is None:
                await self._clock.sleep(_LOOK_AGAIN)
        if self._error is not None:
            raise self._error

    async def _work(self, left: deque[Ask], elsewhere: deque[Ask], unusable: Collection[str]) -> None:
        while left and self._error is None:
            ask = left.popleft()
            try:
                claimed = self._ledger.claim(ask.key, unusable)
                if claimed == "elsewhere":
                    elsewhere.append(ask)
                elif claimed == "mine":
                    await self._one(ask)
            except _Stopped:
                pass
            except PuretuneError as error:
                self._error = self._error or error

    async def _one(self, ask: Ask) -> None:
        try:
            judgement = await self._judged(ask)
            self._ledger.put(judgement)
            self._accept(judgement, f"{self._pace.at_once} at once")
        finally:
            self._ledger.release(ask.key)

    async def _judged(self, ask: Ask) -> Judgement:
        replies: list[Reply] = []
        for _ in range(self._spec.attempts):
            try:
                replies.append(await self._answered(ask))
            except Trouble as trouble:
                return judgement_of(ask, replies, self._spec.attempts, refused=str(trouble))
            if parse_reply(replies[-1].text).score is not None:
                break
        return judgement_of(ask, replies, self._spec.attempts)

    async def _answered(self, ask: Ask) -> Reply:
        """A reply, after as many tries as the limits allow; Trouble only where the answer is refused."""
        patience = Patience(self._spec, self._clock, self._rng)
        while True:
            async with self._pace.turn() as number:
                if self._error is not None:
                    raise _Stopped
                try:
                    reply = await self._client.ask(ask.body)
                    self._pace.well()
                    return reply
                except Trouble as trouble:
                    wait = patience.after(trouble)
                    if trouble.kind == "busy":
                        self._pace.busy(number, wait if trouble.wait is not None else 0.0)
            await self._clock.sleep(wait)


def judgement_of(ask: Ask, replies: list[Reply], attempts: int, refused: str = "") -> Judgement:
    """The judgement that the replies to a request make, ``attempts`` allowed; the last one counts."""
    reading = parse_reply(replies[-1].text) if replies else None
    scored = reading is not None and reading.score is not None and not refused
    return Judgement(
        ask=ask.key,
        reported=replies[-1].model if replies else "",
        score=reading.score if reading and scored else None,
        parse="ok" if scored else "unparsed",
        behaviour=reading.behaviour if reading and scored else None,
        reason=reading.reason if reading and scored else "",
        replies=tuple(reply.text for reply in replies),
        problem=refused or (reading.problem if reading else "no reply"),
        input_tokens=sum(reply.input_tokens for reply in replies),
        output_tokens=sum(reply.output_tokens for reply in replies),
        when=datetime.now(UTC).isoformat(timespec="milliseconds"),
        facts={**ask.facts, "attempts": attempts},
    )
