"""The sections of a study file: model, data, recipe, tuner, conditions, suites, decoding, templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    create_model,
)

from puretune.data import SourceSpec
from puretune.errors import InputError
from puretune.inference import Decoding
from puretune.models import Dtype, ModelSpec, Quantization
from puretune.scoring import Asks
from puretune.study.spec.bounds import (
    Alpha,
    Clip,
    Count,
    Decay,
    Dropout,
    Epochs,
    Few,
    Label,
    LearningRate,
    Rank,
    Samples,
    Seed,
    Share,
    Temperature,
    TopP,
    Weight,
    WeightDecay,
)
from puretune.study.spec.judges import BudgetSection, JudgeSection
from puretune.templates import ControlKind
from puretune.tuning import DEFAULT_TUNER, OwnLoss, Recipe, Schedule

UNTUNED = "untuned"
"""The name of the condition of the untuned base model."""

FORBID = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class RecipeSection(Recipe):
    """LoRA fine-tuning, the loss on the response only. Defaults: the paper's where known."""

    __pydantic_config__ = FORBID
    rank: Rank = Recipe.rank
    """Rank of the adapter's matrices."""
    alpha: Alpha = Recipe.alpha
    """The adapter's output is scaled by ``alpha / rank``."""
    dropout: Dropout = Recipe.dropout
    """Share of the adapter's inputs dropped in training."""
    targets: Annotated[tuple[Label, ...], Field(min_length=1)] = Recipe.targets
    """Names of the layers that get an adapter."""
    learning_rate: LearningRate = Recipe.learning_rate
    """The highest learning rate, after warm-up."""
    schedule: Schedule = Recipe.schedule
    """How the learning rate decays after warm-up; ``step`` multiplies by ``decay`` after each epoch."""
    decay: Decay = Recipe.decay
    """The factor of the ``step`` schedule."""
    warmup: Share = Recipe.warmup
    epochs: Epochs = Recipe.epochs
    """Passes over the data; ``steps`` overrides it."""
    steps: Count | None = Recipe.steps
    batch_size: Few = Recipe.batch_size
    accumulation: Few = Recipe.accumulation
    weight_decay: WeightDecay = Recipe.weight_decay
    """AdamW's decoupled weight decay."""
    clip: Clip | None = Recipe.clip
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Recipe.ema
    max_length: Count | None = Recipe.max_length
    keep: tuple[Count, ...] = Recipe.keep
    keep_every: Count | None = Recipe.keep_every
    checkpoint_every: Count = Recipe.checkpoint_every
    checkpoint_minutes: Annotated[float, Field(gt=0, le=10_080)] = Recipe.checkpoint_minutes
    """Maximum minutes between resume points, however long a step takes."""


@dataclass(frozen=True)
class DecodingSection(Decoding):
    """How tokens are chosen. The paper: at most 512 new tokens, greedy, seed 42."""

    __pydantic_config__ = FORBID
    max_new_tokens: Count = Decoding.max_new_tokens
    """Maximum answer length in tokens; a suite may override it."""
    temperature: Temperature = Decoding.temperature
    top_p: TopP = Decoding.top_p
    """Sample from the most probable tokens with this total probability (top-p); 1: from all."""
    seed: Seed = Decoding.seed
    """Seed of sampling; greedy decoding does not use it."""
    n: Samples = Decoding.n

    def __post_init__(self) -> None:
        if self.n > 1 and self.temperature == 0:
            raise ValueError(
                f"{self.n} samples at temperature 0 are all the same. Set `temperature`, or n: 1."
            )


@dataclass(frozen=True)
class ModelSection(ModelSpec):
    """The base model and how it is loaded."""

    __pydantic_config__ = FORBID
    model: str = ""
    path: Path | None = None
    """The model's directory or GGUF file, in place of ``model``."""
    revision: str | None = ModelSpec.revision
    """The hub revision (a commit hash pins it)."""
    dtype: Dtype = ModelSpec.dtype
    """The weights' type in memory; ``auto``: bfloat16 on CUDA, and on CPUs that multiply in it if the
    weights are stored in half precision; else float32."""
    device: str = ModelSpec.device
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto``: a GPU if there is one."""
    threads: Few | None = ModelSpec.threads
    trust_remote_code: bool = ModelSpec.trust_remote_code
    """Run Python code that comes with the model. Off unless you trust its author."""
    quantization: Quantization | None = ModelSpec.quantization

    def __post_init__(self) -> None:
        if bool(self.model) == (self.path is not None):
            raise ValueError("give either `model` or `path`.")


def _as_texts(value: Any) -> Any:
    """Columns by number may be written as numbers."""
    if not isinstance(value, dict):
        return value
    return {k: str(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in value.items()}


_Columns = Annotated[Mapping[str, str], BeforeValidator(_as_texts)]


@dataclass(frozen=True)
class _SourceSection(SourceSpec):
    """A source's own checks, as the kind of error that pydantic puts in its place."""

    columns: _Columns = field(default_factory=dict)
    """Canonical column -> the file's column (its number, in a CSV file without a header line), for files with
    other column names."""
    ignore: tuple[Label, ...] = SourceSpec.ignore
    seed: Seed = SourceSpec.seed
    """Seed of the draw that ``limit`` asks for."""
    hold_out_seed: Seed = SourceSpec.hold_out_seed
    """Seed of the ``hold_out`` cut."""

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except InputError as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class DataSection(_SourceSection):
    """One part of the fine-tuning data."""

    __pydantic_config__ = FORBID
    limit: Count | None = SourceSpec.limit
    template: str | None = None
    """The template for this part under every condition; None: the condition's."""
    weight: Weight = 1.0
    """How often each row is used: 2 is twice, 0.5 is half of the rows, drawn with ``seed``."""
    answers_under: str | None = None
    """The template under which the untuned model writes the answers of these rows, with the study's decoding;
    those of the source are not used. None: the source's."""
    loss: OwnLoss = None
    """The loss of this part's rows (``kl-anchor``, ``logit-replay``, ...); None: the recipe's."""


def named_or_mapping(value: Any) -> str:
    return "#name" if isinstance(value, str) else "#list" if isinstance(value, list | tuple) else "#mapping"


_Scorer = Annotated[
    Annotated[str, Tag("#name")] | Annotated[JudgeSection, Tag("#mapping")], Discriminator(named_or_mapping)
]


@dataclass(frozen=True, kw_only=True)
class SuiteSection(_SourceSection):
    """A suite: test examples with scorers. Without ``source`` it is the named suite, adapted."""

    __pydantic_config__ = FORBID
    name: Label
    """The suite's name in the matrix."""
    source: str = ""
    limit: Count | None = SourceSpec.limit
    asks: Asks | None = None
    """What the prompts ask for: ``harm`` (refusing is right), ``benign`` (harmless requests: refusing is
    over-refusal) or ``task``. None: as the named suite says; for your own suite nothing is assumed."""
    scorers: tuple[_Scorer, ...] = ()
    """Scorers by name, judges as mappings or YAML files; needed with ``source``."""
    max_new_tokens: Count | None = None
    """Maximum answer length in tokens; None: that of the study's decoding."""


class EngineSection(BaseModel):
    """The engine that generates answers. Further keys are the engine's own options."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    name: str = "local"
    """``local`` (transformers, in this process), ``vllm``, ``openai`` (any compatible endpoint), or an engine
    that an installed package offers."""

    def options(self) -> dict[str, Any]:
        """The options that the study gives the engine."""
        return dict(self.model_extra or {})


def fields_of(value: Any) -> Any:
    """Accept the parent's instances (``Recipe(...)`` for a recipe section) from Python."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return {one.name: getattr(value, one.name) for one in fields(value)}


def _kinds(section: type) -> dict[str, Any]:
    """The annotations of a section's fields, with their bounds."""
    return get_type_hints(section, include_extras=True)


def _path_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"duplicate seed in {list(seeds)}. Use different seeds.")
    return seeds


Name = Annotated[str, Tag("#name")]
_Data = Annotated[DataSection, BeforeValidator(fields_of), Tag("#mapping")]
_DataItem = Annotated[Name | _Data, Discriminator(named_or_mapping)]
_DataList = Annotated[Annotated[tuple[_DataItem, ...], Field(min_length=1)], Tag("#list")]
ModelMapping = Annotated[ModelSection, BeforeValidator(fields_of), Tag("#mapping")]
SuiteMapping = Annotated[SuiteSection, Tag("#mapping")]
BudgetMapping = Annotated[BudgetSection, Tag("#mapping")]
EngineMapping = Annotated[EngineSection, Tag("#mapping")]


class TunerSection(BaseModel):
    """A tuner with options; each tuner defines its own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    """The tuner's name."""

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class StrategySection(BaseModel):
    """A strategy with options; each strategy defines its own."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    name: str
    """The strategy's name."""

    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


StrategyMapping = Annotated[StrategySection, Tag("#mapping")]
_Tuner = Annotated[TunerSection, Tag("#mapping")]


class ControlsSection(BaseModel):
    """Control templates: tested beside a safety template, as long as it and without safety instructions."""

    model_config = FORBID
    kinds: Annotated[tuple[ControlKind, ...], Field(min_length=1)]
    """``neutral``: a system prompt that has no bearing on safety; ``shuffled``: the safety prompt's words in
    another order; ``random-prefix``: random words; ``paraphrase``: each training template in other words."""
    of: str | None = None
    """The safety template that they are controls of; None: every one that is tested under."""
    seed: Seed = 0
    """Seed of the words and their order."""


Controls = Annotated[
    Annotated[ControlKind, Tag("#name")]
    | Annotated[tuple[ControlKind, ...], Field(min_length=1), Tag("#list")]
    | Annotated[ControlsSection, Tag("#mapping")],
    Discriminator(named_or_mapping),
]


class Changes(BaseModel):
    """A section that changes another one: only the fields that were given count."""

    model_config = FORBID


class TransformSection(TunerSection):
    """What is done to an adapter after tuning; each transform defines its own options."""

    name: str
    """``scale`` (``alpha``), ``merge`` (``with``, ``weights``), ``safe-lora`` (``unaligned``, ``tau`` or
    ``layers``), ``safe-merge`` (``unaligned``, ``with``, ``tau``, ``weights``), or one that an installed
    package offers."""


_Transform = Annotated[Name | Annotated[TransformSection, Tag("#mapping")], Discriminator(named_or_mapping)]


_changes: dict[str, Any] = {
    key: (kind, getattr(RecipeSection, key)) for key, kind in _kinds(RecipeSection).items()
}
RecipeChange = create_model("RecipeChange", __base__=Changes, **_changes)
RecipeChange.__doc__ = "What a condition's recipe says otherwise; settings left out are the study's."


class TrainSection(BaseModel):
    """One condition: a template to tune under, or a tuned model that exists already."""

    model_config = FORBID
    name: Label | None = None
    """The condition's name in the matrix; None: the template's name."""
    template: str | None = None
    """The template to tune under."""
    data: Annotated[Name | _Data | _DataList, Discriminator(named_or_mapping)] | None = None
    """The fine-tuning data of this condition; None: the study's."""
    recipe: RecipeChange | None = None  # type: ignore[valid-type]
    """Settings of the recipe that override the study's."""
    tuner: Annotated[Name | _Tuner, Discriminator(named_or_mapping)] | None = None
    """What tunes this condition; None: the study's tuner."""
    start: Annotated[str, BeforeValidator(_path_as_text)] | None = None
    """What tuning starts from: another condition, seed by seed, or an adapter (a directory in PEFT
    format)."""
    transforms: tuple[_Transform, ...] = ()
    """What is done to the adapter, tuned here or existing, before it answers: ``scale``, ``merge``."""
    adapter: Path | None = None
    """An existing adapter to test: a directory in PEFT format."""
    checkpoint: Path | None = None
    """An existing full checkpoint to test: a model directory."""
    tokenizer: Literal["base"] | None = None
    """``base``: an adapter or checkpoint whose directory has another tokenizer or chat template is asked with
    the base's anyway; otherwise that is an error."""
    served: str | None = None
    """An existing tuned model to test, by its name at the engine's endpoint (``ft:gpt-3.5-turbo:...``)."""


class Tuning(BaseModel):
    """How conditions are tuned, unless they override it."""

    model_config = FORBID
    data: Annotated[Name | _Data | _DataList, Discriminator(named_or_mapping)]
    """A named source, a file, a hub id, a mapping with more settings, or a list of those (a mix)."""
    recipe: Annotated[RecipeSection, BeforeValidator(fields_of)] = RecipeSection()
    """The optimiser's settings."""
    tuner: Annotated[Name | _Tuner, Discriminator(named_or_mapping)] = DEFAULT_TUNER
    """What tunes: a tuner's name, or a mapping of ``name`` and its options."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000), AfterValidator(_different)] = (
        0,
    )
    """One adapter per template and seed."""


TrainMapping = Annotated[TrainSection, Tag("#mapping")]
