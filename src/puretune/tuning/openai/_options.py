"""What a study may say about tuning through an API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from puretune.errors import InputError
from puretune.models import Endpoint, Limits, located


@dataclass(frozen=True)
class OpenAIOptions:
    """Settings of the ``openai`` tuner. Of the recipe only ``epochs`` and what to keep apply."""

    base_url: str = ""
    """The endpoint; empty: ``OPENAI_BASE_URL``, or OpenAI's own."""
    api_key_env: str | None = None
    """The environment variable with the API key; None: ``OPENAI_API_KEY``, unless ``base_url`` is given."""
    batch_size: int | None = None
    """Rows per step; None: the provider decides, and the steps of the recipe are nominal."""
    learning_rate_multiplier: float | None = None
    """None: the provider decides."""
    price: float | None = None
    """Dollars per million trained tokens; None: the table's, which knows OpenAI's models of its date."""
    suffix: str = "puretune"
    """Part of the tuned model's name."""
    poll_seconds: float = 20.0
    """How often to look at a job."""
    on_interrupt: Literal["keep", "cancel"] = "keep"
    """Ctrl-C leaves the job running, to be found again by the next run; or cancels it."""

    def __post_init__(self) -> None:
        """InputError for a value that makes no sense."""
        for name in ("batch_size", "learning_rate_multiplier", "poll_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"tuner 'openai', option {name}: {value} is not above 0.")
        if self.price is not None and self.price < 0:
            raise InputError(f"tuner 'openai', option price: {self.price} is below 0.")

    def inputs(self) -> dict[str, Any]:
        """What decides the tuned model: the endpoint and its hyperparameters."""
        return {"base_url": self.endpoint().base_url, **self.hyperparameters()}

    def endpoint(self) -> Endpoint:
        """Where it is tuned."""
        base_url, key = located(self.base_url, self.api_key_env)
        return Endpoint("tuner 'openai'", base_url, key, Limits())

    def hyperparameters(self) -> dict[str, Any]:
        """Those that are not left to the provider, in the API's words; ``n_epochs`` is the recipe's."""
        named = {
            "batch_size": self.batch_size,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
        return {name: value for name, value in named.items() if value is not None}
