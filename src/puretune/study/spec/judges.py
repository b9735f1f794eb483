"""A judge in a study file. Its fields are those of ``puretune.scoring.JudgeSpec``, which has the defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer

from puretune.endpoints import Limits
from puretune.errors import InputError
from puretune.models import Dtype
from puretune.study.spec.bounds import Count, Few, Label, Note, Seed, Share, Temperature

_FORBID = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_NULL_SAYS_SOMETHING = frozenset(("temperature", "max_tokens", "price"))
"""Of these, null is not the default: it means that nothing is sent, or that the price is not known."""


class PriceSection(BaseModel):
    """US dollars per million tokens."""

    model_config = _FORBID
    input: Annotated[float, Field(ge=0, le=1e6)]
    """For input tokens."""
    output: Annotated[float, Field(ge=0, le=1e6)]
    """For output tokens."""


@dataclass(frozen=True)
class LimitsSection(Limits):
    """How long to wait for an endpoint, in seconds, and how often to try again."""

    __pydantic_config__ = _FORBID  # type: ignore[assignment]

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except InputError as error:
            raise ValueError(str(error)) from error


class BudgetSection(BaseModel):
    """A judge budget and how it is spent."""

    model_config = _FORBID
    amount: Label
    """``2.00 USD`` or ``250 judgements``, for all cells together."""
    judge: Label | None = None
    """The judge that it applies to; None: the study's only judge behind an endpoint, or the most
    expensive."""
    cheap: Label | None = None
    """The scorer that has seen every answer and decides which are judged; None: the first that can."""
    half_width: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Stop judging a cell once the half width of its interval is this small; None: use the whole budget."""
    seed: Seed = 0
    """Seed of the draw of answers."""


class JudgeSection(BaseModel):
    """A judge as a scorer: behind an OpenAI-compatible endpoint, or a classifier on this machine.

    Defaults are those of ``puretune.scoring.JudgeSpec``.
    """

    model_config = _FORBID
    judge: Label
    """``openai`` (any OpenAI-compatible endpoint), ``gpt-4`` (the paper's), ``llama-guard-3``, ...; or the
    measure ``coherence``."""
    name: Label | None = None
    """The judge's name in the matrix; None: the model's name, or a local judge's own."""
    model: Label | None = None
    """The judge's model: a name at the endpoint, or a directory or hub id."""
    revision: Label | None = None
    """For local judges: the hub revision (a commit hash pins it)."""
    device: Label | None = None
    """For local judges: ``cpu``, ``cuda``, ``cuda:1``; None: a GPU if there is one."""
    dtype: Dtype | None = None
    """For local judges: the weights' type in memory; None: as for a study's model."""
    base_url: Note | None = None
    """The endpoint; None: OpenAI's."""
    api_key_env: Label | None = None
    """The environment variable with the API key. A study never contains a key."""
    rubric: Path | None = None
    """Your own rubric with the placeholders ``{query}`` and ``{answer}``."""
    lexicon: Path | None = None
    """For the judge ``coherence``: a JSON list of known words."""
    perplexity: Annotated[float, Field(gt=1)] | None = None
    """For ``coherence``: answers above this perplexity under the untuned base are incoherent."""
    repetition: Annotated[float, Field(gt=0, le=1)] | None = None
    """For ``coherence``: largest share of repeated 4-grams."""
    unknown_words: Annotated[float, Field(gt=0, le=1)] | None = None
    """For ``coherence``: largest share of words that are not in the lexicon."""
    price: PriceSection | None = None
    """Dollars per million tokens; null: costs are shown in tokens only."""
    concurrency: Few | None = None
    """Maximum number of concurrent requests."""
    temperature: Temperature | None = None
    """Default: 0, as in the paper; null: not sent."""
    max_tokens: Count | None = None
    """Maximum reply length in tokens; null: not sent."""
    extra: dict[str, Any] | None = None
    """Additional fields of the request."""
    attempts: Few | None = None
    """Replies asked for until one can be read."""
    mode: Literal["live", "batch"] | None = None
    """``batch``: the provider's batch files, cheaper and slower."""
    recheck: Share | None = None
    """Share of answers to judge twice, for the judge's own flip rate."""
    longest_answer: Count | None = None
    """Maximum characters of an answer; the middle of a longer one is left out."""
    expect_model: Label | None = None
    """Only judgements that the endpoint reports under this name count."""
    allow_model_change: bool | None = None
    """Continue if the endpoint reports another model than before."""
    limits: LimitsSection | None = None
    """Timeouts and retries."""

    @model_serializer(mode="wrap")
    def _said(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """What the study says, an explicit null among it: a copy of the study means the same judge."""
        nulls = {name: None for name in self.model_fields_set if getattr(self, name) is None}
        said = {name: value for name, value in dump(self).items() if name in self.model_fields_set}
        return {**nulls, **said}

    def settings(self) -> dict[str, Any]:
        """What the study says, as a mapping."""
        said = self.model_dump()
        return {
            name: value for name, value in said.items() if value is not None or name in _NULL_SAYS_SOMETHING
        }
