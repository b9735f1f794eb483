"""What tuning through an API will cost, and the notice before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from puretune.endpoints import Endpoint, stays_or_leaves
from puretune.errors import InputError
from puretune.visible import one_line

AS_OF = "2025-07"
"""When the prices below were the provider's. They change: the option ``price`` overrides them."""
DOLLARS: Mapping[str, float] = {
    "babbage-002": 0.40,
    "davinci-002": 6.00,
    "gpt-3.5-turbo": 8.00,
    "gpt-4.1": 25.00,
    "gpt-4.1-mini": 5.00,
    "gpt-4.1-nano": 1.50,
    "gpt-4o": 25.00,
    "gpt-4o-mini": 3.00,
}
"""OpenAI's list prices per million trained tokens, by model, dated versions included."""


@dataclass(frozen=True)
class TuningNotice:
    """What is shown before data is uploaded and a job is started."""

    model: str
    endpoint: str
    loopback: bool
    """The endpoint is this machine: nothing leaves it, nothing has to be agreed to."""
    jobs: int
    rows: int
    """Over all jobs, each row once per job."""
    tokens: int
    """About how many tokens will be trained on: rows times epochs."""
    price: float | None
    """Dollars per million tokens."""
    source: str
    """Where the price is from."""

    @property
    def dollars(self) -> float | None:
        """What it will cost."""
        return None if self.price is None else self.price * self.tokens / 1e6

    def __str__(self) -> str:
        cost = "price not known" if self.dollars is None else f"about ${self.dollars:,.2f} ({self.source})"
        return (
            f"Tuner openai, model {one_line(self.model)} at {self.endpoint}: the training data "
            f"{stays_or_leaves(self.loopback)}.\n"
            f"{self.jobs:,} {'jobs' if self.jobs > 1 else 'job'} with {self.rows:,} rows are started; about "
            f"{self.tokens:,} tokens are trained on.\nEstimated cost: {cost}."
        )


def notice(
    model: str, endpoint: Endpoint, given: float | None, jobs: int, rows: int, tokens: int
) -> TuningNotice:
    """The notice for some jobs. InputError if the price is not known and the endpoint is elsewhere."""
    listed = _listed(model)
    price = listed if given is None else given
    if price is None and not endpoint.loopback:
        raise InputError(
            f"tuner 'openai': the price of training {model!r} is not known here. Look it up and give it as "
            "the option `price`, in dollars per million tokens."
        )
    source = f"${price:g} per million tokens" if price is not None else ""
    source += f", the list price of {AS_OF}" if given is None and price is not None else ""
    return TuningNotice(model, endpoint.base_url, endpoint.loopback, jobs, rows, tokens, price, source)


def _listed(model: str) -> float | None:
    """The price of a model, of a dated version (``NAME-2024-07-18``, ``NAME-0125``) or one tuned from it."""
    name = model.split(":")[1] if model.startswith("ft:") and model.count(":") > 1 else model
    fitting = [known for known in DOLLARS if name == known or name.startswith(f"{known}-")]
    best = max(fitting, key=len, default=None)
    dated = best is not None and name[len(best) + 1 : len(best) + 2].isdigit()
    return DOLLARS[best] if best is not None and (name == best or dated) else None
