"""What judging costs: estimated before it starts, counted while it runs; and the notice of where data goes.

The provider's tokenizer is not known here. The estimate counts a token per 4 ASCII characters and 1.5 per
other character, 4 per message, and 120 per reply. What was really used is counted by the endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from puretune.data import Example
from puretune.endpoints import stays_or_leaves
from puretune.models import estimate_tokens
from puretune.scoring.judges._requests import Ask, Asking
from puretune.scoring.judges._spec import JudgeSpec, Price

_PER_MESSAGE, _PER_REPLY = 4, 120


@dataclass(frozen=True)
class Estimate:
    """What a judge has yet to be asked for."""

    answers: int
    """All answers, repeated ones and known ones included."""
    known: int
    """Different requests that the ledger has the reply to."""
    requests: int
    """Different requests to be made."""
    input_tokens: int
    output_tokens: int
    price: Price | None

    @property
    def dollars(self) -> float | None:
        """What it will cost; None if the price is not known."""
        return dollars(self.price, self.input_tokens, self.output_tokens)

    def times(self, share: float) -> Estimate:
        """A share of the requests, with its share of the tokens, rounded up."""
        return replace(
            self,
            requests=math.ceil(self.requests * share),
            input_tokens=math.ceil(self.input_tokens * share),
            output_tokens=math.ceil(self.output_tokens * share),
        )

    def plus(self, other: Estimate) -> Estimate:
        """Both together."""
        return Estimate(
            self.answers + other.answers,
            self.known + other.known,
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.price,
        )


def estimate(spec: JudgeSpec, answers: int, known: int, missing: Iterable[Ask]) -> Estimate:
    """The estimate for requests that the ledger does not know."""
    asks = list(missing)
    return Estimate(
        answers=answers,
        known=known,
        requests=len(asks),
        input_tokens=sum(_input(ask) for ask in asks),
        output_tokens=len(asks) * min(_PER_REPLY, spec.max_tokens or _PER_REPLY),
        price=spec.price,
    )


def estimate_ahead(asking: Asking, ahead: Iterable[tuple[Example, int, int]]) -> Estimate:
    """The most that answers yet to be generated will cost: per example how many, of how many tokens."""
    spec, base = asking.spec, dict[str, int]()
    answers = tokens = 0
    for example, number, longest in ahead:
        if example.query not in base:
            base[example.query] = _input(asking.ask(example.query, ""))
        answers += number
        tokens += number * (base[example.query] + min(longest, spec.longest_answer))
    twice = 1 + spec.recheck
    requests = math.ceil(answers * twice)
    replies = requests * min(_PER_REPLY, spec.max_tokens or _PER_REPLY)
    return Estimate(answers, 0, requests, math.ceil(tokens * twice), replies, spec.price)


def dollars(price: Price | None, input_tokens: int, output_tokens: int) -> float | None:
    """The price of that many tokens."""
    if price is None:
        return None
    return (price.input * input_tokens + price.output * output_tokens) / 1e6


def cost_text(price: Price | None, input_tokens: int, output_tokens: int) -> str:
    """``$1.24 (40,100 tokens in, 1,200 out)``, or the tokens alone where the price is not known."""
    tokens = f"{input_tokens:,} tokens in, {output_tokens:,} out"
    cost = dollars(price, input_tokens, output_tokens)
    return f"{tokens}; price not known" if cost is None else f"${cost:,.2f} ({tokens})"


@dataclass(frozen=True)
class Notice:
    """What is shown before anybody's answers go to a judge."""

    judge: str
    endpoint: str
    loopback: bool
    """The endpoint is this machine: nothing leaves it, nothing has to be agreed to."""
    estimate: Estimate
    upper: bool = False
    """The estimate is the most it can be: answers are yet to be generated."""

    def __str__(self) -> str:
        asked = self.estimate
        most = "at most " if self.upper else ""
        cost = cost_text(asked.price, asked.input_tokens, asked.output_tokens)
        goes = stays_or_leaves(self.loopback)
        known = f"; {asked.known:,} are in the ledger" if asked.known else ""
        return (
            f"Judge {self.judge} at {self.endpoint}: what is judged {goes}.\n"
            f"{most}{asked.requests:,} queries with their answers are sent ({asked.answers:,} answers in "
            f"all{known}).\nEstimated cost: {most}{cost}."
        )


def _input(ask: Ask) -> int:
    return sum(_PER_MESSAGE + estimate_tokens(message["content"]) for message in ask.body["messages"])
