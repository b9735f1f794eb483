"""What strategies share: the two templates, the condition's name, and templates made from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from puretune.errors import InputError
from puretune.models import MessagesRenderer, renderer_for
from puretune.study.plan.base import model_spec
from puretune.study.plan.engine import engine_of
from puretune.study.plan.templates import templates_of
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.sections import UNTUNED, DataSection, TrainSection
from puretune.study.spec.study import Study
from puretune.templates import PromptTemplate, Renderer, TemplateFields


@dataclass(frozen=True)
class Options:
    """Options of every strategy."""

    name: ClassVar[str]
    plain: str = "CV"
    """The template without a safety prompt."""
    safe: str = "CL"
    """The template with the safety prompt."""
    label: str = ""
    """The condition's name in the matrix; "": the strategy's name."""

    def identity(self) -> Mapping[str, Any]:
        """Its name and options."""
        return {"strategy": self.name, **asdict(self)}

    def expansion(
        self,
        tests: Sequence[tuple[str, str]],
        conditions: Sequence[TrainSection],
        templates: Mapping[str, TemplateFields] = {},
        curve: str = "",
    ) -> Expansion:
        """What the strategy adds; each condition is also tested under its training template and ``plain``."""
        tuned = [(one.name or "", str(one.template)) for one in conditions if one.template != UNTUNED]
        leakage = [pair for name, under in tuned for pair in ((name, under), (name, self.plain))]
        return Expansion(tuple(tests), tuple(conditions), templates, curve, tuple(leakage))

    @property
    def title(self) -> str:
        """What its condition is called."""
        return self.label or self.name


def tuned(name: str, template: str, **more: Any) -> TrainSection:
    """A condition tuned under a template; ``more``: data, recipe, start, transforms."""
    return TrainSection(name=name, template=template, **more)


def known(study: Study, name: str) -> PromptTemplate:
    """A template that the study can name; InputError with the nearest."""
    return templates_of(study).named(name)


def renderer_of(study: Study) -> Renderer:
    """Renders with the tokenizer of the study's model; of a model behind an endpoint only texts are known."""
    if engine_of(study, dry=True).takes == "messages":
        return MessagesRenderer()
    with study.at("model"):
        return renderer_for(model_spec(study.model))


def variant(template: PromptTemplate, **changes: Any) -> TemplateFields:
    """The fields of a template with some of them changed."""
    turns = [{turn.role: turn.content} for turn in template.demonstrations]
    fields = {
        "mode": template.mode,
        "system": template.system,
        "user": template.user,
        "demonstrations": turns,
        "response_prefix": template.response_prefix,
        "separator": template.separator,
        "own_system": template.own_system,
        "arguments": dict(template.arguments),
        "safety": template.safety,
    }
    return TemplateFields.model_validate({**fields, **changes})


def task_data(study: Study) -> tuple[DataSection | str, ...]:
    """The parts of the study's fine-tuning data; InputError if it tunes nothing."""
    if study.tuning is None:
        raise InputError("the study has no `tuning:` section, so there is no data to tune on. Add one.")
    data = study.tuning.data
    return (data,) if isinstance(data, str | DataSection) else tuple(data)


def as_section(part: DataSection | str) -> DataSection:
    """A part of a mix as a mapping."""
    return DataSection(source=part) if isinstance(part, str) else part
