"""What a study may say about tuning through an API."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from puretune.endpoints import (
    Consent,
    Endpoint,
    Limits,
    check_name,
    check_ranges,
    check_variable,
    located,
    loopback_only,
)
from puretune.lazily import load
from puretune.models import BaseModel, LazyBase, ModelSpec
from puretune.tuning._spec import beyond_cross_entropy
from puretune.tuning._types import Recipe, TuningTask
from puretune.tuning.losses import Loss

if TYPE_CHECKING:
    from puretune.tuning.openai._price import TuningNotice
    from puretune.tuning.openai.tuner import OpenAITuner


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

    name: ClassVar[str] = "openai"
    version: ClassVar[str] = "1"
    remote: ClassVar[bool] = True
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """InputError for a value that makes no sense."""
        where = "tuner 'openai', option "
        check_ranges(where, self, _RANGES)
        check_name(f"{where}suffix", self.suffix)
        check_variable(f"{where}api_key_env", self.api_key_env)
        located(self.base_url, self.api_key_env)

    def inputs(self) -> dict[str, Any]:
        """What decides the tuned model: the endpoint and its hyperparameters."""
        return {"base_url": self.endpoint().base_url, **self.hyperparameters()}

    def identity(self) -> dict[str, Any]:
        """What a key says about the tuner."""
        return {"name": self.name, "version": self.version, **self.inputs()}

    def unable(self, recipe: Recipe, losses: Collection[Loss]) -> str:
        """The provider's loss is cross-entropy."""
        return beyond_cross_entropy(self.name, recipe, losses)

    def notice(self, model: ModelSpec, tasks: Sequence[TuningTask]) -> TuningNotice:
        """What tuning these would send where, and at what price. InputError if they cannot be tuned."""
        return self._on(model).notice(tasks)

    def open(self, base: BaseModel | LazyBase, consent: Consent = loopback_only) -> OpenAITuner:
        """The tuner. ``consent`` is shown what will go where, at what price, before the first upload."""
        return self._on(base.spec, consent)

    def _on(self, model: ModelSpec, consent: Consent = loopback_only) -> OpenAITuner:
        tuner: OpenAITuner = load("puretune.tuning.openai.tuner:OpenAITuner")(model, self, consent)
        return tuner

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


_RANGES = {
    "batch_size": (1, 100_000),
    "learning_rate_multiplier": (1e-6, 1000.0),
    "price": (0.0, 1e6),
    "poll_seconds": (0.001, 86_400.0),
}
