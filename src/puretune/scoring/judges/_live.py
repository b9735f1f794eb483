"""Asking one request at a time, many at once: retries, pauses, the ledger after every reply.

A reply that breaks the contract is asked for again, ``attempts`` times in all; then the judgement is kept as
unparsed with the judge's words. An endpoint that fails for good stops the run: requests under way are
finished and kept, and one error says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from puretune.endpoints import Client, Clock, Line, Reply, Trouble
from puretune.scoring.judges._contract import parse_reply
from puretune.scoring.judges._judgement import Judgement
from puretune.scoring.judges._ledger import Ledger
from puretune.scoring.judges._requests import Ask
from puretune.scoring.judges._spec import JudgeSpec

_LONGEST_REPLY = 20_000
"""Characters of a reply that are kept."""
_LOOK_AGAIN = 1.0
"""Seconds between looks at requests that another process is making."""

Accept = Callable[[Judgement, str], None]
"""Called with every judgement, and a note on the pace; raises where the run must not continue with it."""


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
        self._accept = accept
        self._line = Line(spec.endpoint, spec.concurrency, clock, rng)

    async def run(self, asks: Iterable[Ask], unusable: Collection[str] = ()) -> None:
        """Judge; ``unusable`` are ids of judgements in the ledger that do not count.

        Raises the first error that would be the same for every answer, after requests under way have ended.
        """
        left = list(asks)
        while left:
            elsewhere: list[Ask] = []

            async def one(ask: Ask, elsewhere: list[Ask] = elsewhere) -> None:
                claimed = self._ledger.claim(ask.key, unusable)
                if claimed == "elsewhere":
                    elsewhere.append(ask)
                elif claimed == "mine":
                    await self._one(ask)

            await self._line.run(left, one)
            left = elsewhere
            if left:
                await self._clock.sleep(_LOOK_AGAIN)

    async def _one(self, ask: Ask) -> None:
        try:
            judgement = await self._judged(ask)
            self._ledger.put(judgement)
            self._accept(judgement, self._line.note)
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
        return clipped(await self._line.ask(lambda: self._client.ask(ask.body)))


def clipped(reply: Reply) -> Reply:
    """The part of a reply that is read and kept."""
    return replace(reply, text=reply.text[:_LONGEST_REPLY])


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
