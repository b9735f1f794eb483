"""The study file: what to train under, what to test under, with which model, data and suites.

The same fields make the YAML (``Study.load``) and the Python object (``Study(...)``):

    name: first-steps
    model: lab
    tuning: {data: lab-maths, recipe: {learning_rate: 1e-3, steps: 60}, seeds: [0, 1]}
    train: [untuned, CV, CL]
    test: [CV, CL]
    suites: [lab-maths, lab-harmful]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    ValidationError,
)

from puretune.errors import InputError
from puretune.files import DEEPEST, is_text
from puretune.study.spec.analysis import AnalysisSection
from puretune.study.spec.bounds import Label, Note
from puretune.study.spec.messages import Placed, explain, where
from puretune.study.spec.paths import anchored
from puretune.study.spec.positions import Origin, read_yaml
from puretune.study.spec.sections import (
    FORBID,
    BudgetMapping,
    Controls,
    ControlsSection,
    DecodingSection,
    EngineMapping,
    ModelMapping,
    ModelSection,
    Name,
    StrategyMapping,
    SuiteMapping,
    TrainMapping,
    Tuning,
    fields_of,
    named_or_mapping,
)
from puretune.templates import OwnSystem, TemplateFields
from puretune.visible import quoted


class Study(BaseModel):
    """A study: which templates to train under, which to test under, and with what."""

    model_config = ConfigDict(**FORBID, title="puretune study")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """The study's name: letters, digits, dots, dashes; also the name of its run directory."""
    model: Annotated[Name | ModelMapping, Discriminator(named_or_mapping)]
    """The base model: a name offered by a package (``lab``), a directory, a hub id, or a mapping."""
    templates: dict[Label, TemplateFields] = {}
    """Your own templates, by name."""
    templates_file: Path | None = None
    """A YAML file with more of your own templates."""
    own_system: OwnSystem | None = None
    """What to do with a system message that an example has, for templates that do not say it themselves:
    ``keep`` it after the template's system prompt, ``drop`` it, or ``forbid`` it (an error; the default)."""
    tuning: Tuning | None = None
    """How to tune; not needed if nothing is tuned."""
    train: tuple[Annotated[Name | TrainMapping, Discriminator(named_or_mapping)], ...] = ()
    """Conditions: ``untuned``, templates to tune under, adapters or checkpoints that exist."""
    test: tuple[str, ...] = ()
    """Templates to test under."""
    pairs: tuple[str, ...] = ()
    """``CONDITION -> TEMPLATE``: only these cells, in place of every condition under every template."""
    strategies: tuple[Annotated[Name | StrategyMapping, Discriminator(named_or_mapping)], ...] = ()
    """Published ways to tune and serve, by name or as mappings with options (``puretune strategies list``):
    each adds its conditions, templates and pairs."""
    test_leakage: bool = True
    """Whether conditions of strategies, and with ``controls`` all that are tuned here, are also tested under
    the template they were tuned under and without a system prompt, where behaviour that was tuned in may come
    back."""
    controls: Controls | None = None
    """Test templates made for the model's tokenizer, as long as the safety prompt: ``[neutral, shuffled,
    random-prefix, paraphrase]``, or a mapping with ``kinds``, ``of`` (one safety template) and ``seed``."""
    suites: Annotated[
        tuple[Annotated[Name | SuiteMapping, Discriminator(named_or_mapping)], ...], Field(min_length=1)
    ]
    """The test suites: names of suites, or mappings with a source and scorers."""
    decoding: Annotated[DecodingSection, BeforeValidator(fields_of)] = DecodingSection()
    """How answers are generated."""
    engine: Annotated[Name | EngineMapping, Discriminator(named_or_mapping)] = "local"
    """The engine that generates answers: its name, or a mapping with ``name`` and options."""
    judge_budget: Annotated[Name | BudgetMapping, Discriminator(named_or_mapping)] | None = None
    """What the study's judge may cost: ``2.00 USD`` or ``250 judgements``; it then judges a random part of
    the answers. None: it judges all of them."""
    analysis: AnalysisSection = AnalysisSection()
    """The planned comparison, the margin that matters, and what the intervals are about."""
    note: Note | None = None
    """Remarks for readers of the report on what these numbers can tell."""
    ignore: tuple[Label, ...] = ()
    """Columns and message fields that no source of this study uses; see a source's own ``ignore``."""
    leakage: Literal["warn", "refuse"] = "warn"
    """What to do if prompts of a suite are also in the tuning data: ``warn``, or ``refuse`` before anything
    is tuned."""

    _origin: Origin | None = PrivateAttr(default=None)
    _strategy_of: dict[int, int] = PrivateAttr(default_factory=dict)
    """Which of the strategies a condition in ``train`` comes from, where strategies are spelled out."""

    def __init__(self, /, **fields: Any) -> None:
        """InputError, naming each wrong key and its fix, where the fields are not a study."""
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(explain(error, type(self))) from error
        _check_texts(fields)

    @classmethod
    def load(cls, path: Path | str, base: Path | None = None) -> Study:
        """The study in a YAML file; relative paths in it are relative to ``base``, by default the file's
        directory.

        InputError with file, line, key and fix.
        """
        file = Path(path)
        fields, origin = read_yaml(file)
        with Placed((), origin):
            fields = anchored(fields, base or file.resolve().parent)
        try:
            study = cls(**{str(key): value for key, value in fields.items()})
        except InputError as error:
            if isinstance(error.__cause__, ValidationError):
                raise InputError(explain(error.__cause__, cls, origin)) from None
            raise
        study._origin = origin
        return study

    def with_seeds(self, seeds: Iterable[int]) -> Study:
        """The same study with other tuning seeds; InputError if it tunes nothing."""
        if self.tuning is None:
            raise InputError(f"study {self.name!r} tunes nothing, so it has no seeds.")
        changed = self.model_copy(update={"tuning": self.tuning.model_copy(update={"seeds": tuple(seeds)})})
        changed._origin = self._origin
        return changed

    def with_model(self, path: Path) -> Study:
        """The same study of the model in that directory, held as the study says."""
        held = self.model if isinstance(self.model, ModelSection) else ModelSection(path=path)
        changed = self.model_copy(update={"model": replace(held, model="", path=path)})
        changed._origin = self._origin
        return changed

    @property
    def control_settings(self) -> ControlsSection | None:
        """``controls`` as a section, however they are written; None: there are none."""
        said = self.controls
        if said is None or isinstance(said, ControlsSection):
            return said
        return ControlsSection(kinds=(said,) if isinstance(said, str) else said)

    def at(self, *place: str | int) -> Placed:
        """A block whose InputErrors say where in the study they come from."""
        number = self._strategy_of.get(int(place[1])) if place[:1] == ("train",) and place[1:] else None
        return Placed(place if number is None else ("strategies", number), self._origin)


def _check_texts(value: Any, place: tuple[str | int, ...] = ()) -> None:
    """InputError for a text in a study's fields (a key, a path) that its ``study.yaml`` could not hold."""
    if len(place) > DEEPEST:
        raise InputError(f"{where(place[:3], None)}: nested too deeply (more than {DEEPEST} levels).")
    if isinstance(value, str | Path) and not is_text(str(value)):
        raise InputError(
            f"{where(place, None)}: {quoted(value, 60)} has half a character or a NUL in it. Remove it."
        )
    if isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type)):
        value = vars(value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_texts(str(key), place)
            _check_texts(item, (*place, str(key)))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _check_texts(item, (*place, number))
