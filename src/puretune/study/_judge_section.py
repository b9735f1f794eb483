"""A judge in a study file. Its fields are those of ``puretune.scoring.JudgeSpec``, which has the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_FORBID = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=1)]


class PriceSection(BaseModel):
    """US dollars per million tokens."""

    model_config = _FORBID
    input: Annotated[float, Field(ge=0)]
    """For tokens that the judge reads."""
    output: Annotated[float, Field(ge=0)]
    """For tokens that it writes."""


class BudgetSection(BaseModel):
    """A judge budget with what is to be said about it."""

    model_config = _FORBID
    amount: str
    """``2.00 USD`` or ``250 judgements``, for all cells together."""
    judge: str | None = None
    """The judge that keeps to it; None: the study's only judge behind an endpoint, or the dearest."""
    cheap: str | None = None
    """The scorer that has seen every answer and decides which are judged; None: the first that can."""
    half_width: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Stop judging a cell once half its interval is this long; None: use the budget up."""
    seed: int = 0
    """Seed of the draw of answers."""


class JudgeSection(BaseModel):
    """A judge as a scorer: behind an OpenAI-compatible endpoint, or a classifier on this machine.

    What is not said is as ``puretune.scoring.JudgeSpec`` says.
    """

    model_config = _FORBID
    judge: str
    """``openai`` (any OpenAI-compatible endpoint), ``gpt-4`` (the paper's), ``llama-guard-3``, ...; or the
    measure ``coherence``."""
    name: str | None = None
    """The judge's name in the matrix; None: the model's."""
    model: str | None = None
    """The judge's model: a name at the endpoint, or a directory or hub id."""
    base_url: str | None = None
    """The endpoint; None: OpenAI's."""
    api_key_env: str | None = None
    """The environment variable with the API key. No key ever stands in a study."""
    rubric: Path | None = None
    """A rubric of your own with the placeholders ``{query}`` and ``{answer}``."""
    lexicon: Path | None = None
    """Of the judge ``coherence``: a JSON list of known words."""
    perplexity: Annotated[float, Field(gt=1)] | None = None
    """Of ``coherence``: answers above this perplexity under the untuned base are incoherent."""
    repetition: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of ``coherence``: largest share of repeated 4-grams."""
    unknown_words: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of ``coherence``: largest share of words that the lexicon lacks."""
    price: PriceSection | None = None
    """Dollars per million tokens; None: costs are shown in tokens only."""
    concurrency: _Count | None = None
    """Most requests at once."""
    temperature: Annotated[float, Field(ge=0)] | None = None
    """0, the paper's, unless said otherwise."""
    max_tokens: _Count | None = None
    """Longest reply in tokens."""
    extra: dict[str, Any] | None = None
    """More fields of the request."""
    attempts: _Count | None = None
    """Replies asked for until one can be read."""
    mode: Literal["live", "batch"] | None = None
    """``batch``: the provider's batch files, cheaper and slower."""
    recheck: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the answers that is judged twice, for the judge's own flip rate."""
    longest_answer: _Count | None = None
    """Characters; of a longer answer the middle is left out."""
    expect_model: str | None = None
    """Only judgements that the endpoint reports under this name count."""
    allow_model_change: bool | None = None
    """Go on where the endpoint reports another model than before."""
    limits: dict[Literal["connect", "read", "total", "tries", "patience"], float] | None = None
    """Timeouts and retries."""

    def settings(self) -> dict[str, Any]:
        """What the study says, as a mapping."""
        return self.model_dump(exclude_none=True)
