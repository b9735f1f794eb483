"""Strategies in a study: each is spelled out as conditions, templates and tests, and the rest is as ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from puretune.errors import InputError
from puretune.plugins import Plugins
from puretune.study.spec.expansion import Expansion, Strategy
from puretune.study.spec.sections import UNTUNED, StrategySection, TrainSection
from puretune.study.spec.study import Study
from puretune.templates import alias_of

_Value = TypeVar("_Value")

STRATEGIES: Plugins[Strategy] = Plugins(
    "puretune.strategies",
    "strategy",
    {
        "untuned": "puretune.strategies.references:Untuned",
        "same-template": "puretune.strategies.references:SameTemplate",
        "ptst": "puretune.strategies.ptst:PTST",
        "early-stopping": "puretune.strategies.early_stopping:EarlyStopping",
        "self-reminder": "puretune.strategies.prompts:SelfReminder",
        "in-context-defence": "puretune.strategies.prompts:InContextDefence",
        "inoculation": "puretune.strategies.prompts:Inoculation",
        "safety-mix": "puretune.strategies.mixes:SafetyMix",
        "kl-anchor": "puretune.strategies.replay:KLAnchor",
        "logit-replay": "puretune.strategies.replay:LogitReplay",
        "on-policy-replay": "puretune.strategies.replay:OnPolicyReplay",
        "backdoor-enhanced-alignment": "puretune.strategies.backdoor:BackdoorEnhanced",
        "template-mixture": "puretune.strategies.mixes:TemplateMixture",
        "adapter-scaling": "puretune.strategies.adapters:AdapterScaling",
        "interpolation": "puretune.strategies.adapters:Interpolation",
        "safe-lora": "puretune.strategies.adapters:SafeLora",
        "safe-merge": "puretune.strategies.adapters:SafeMerge",
        "constrained-sft": "puretune.strategies.recipes:ConstrainedSFT",
        "tuned-learning-rate": "puretune.strategies.recipes:TunedLearningRate",
        "ema": "puretune.strategies.recipes:WeightAverage",
    },
    Strategy,
)


def expansions(study: Study) -> dict[int, Expansion]:
    """Each of the study's strategies spelled out, by its number; InputError with its place in the study."""
    found: dict[int, Expansion] = {}
    for number, said in enumerate(study.strategies):
        name, options = (said, {}) if isinstance(said, str) else (said.name, said.options())
        with study.at("strategies", number):
            found[number] = STRATEGIES.options(name, options).expand(study)
    return found


@dataclass(frozen=True)
class Contender:
    """What a strategy would serve: one condition along its kept steps, or one adapter at many strengths."""

    name: str
    strategy: str
    conditions: tuple[str, ...]
    """More than one: growing strengths."""
    test_template: str


def contenders(study: Study, canonical: Callable[[str], str]) -> tuple[Contender, ...]:
    """What the study's strategies would serve, but for untuned models; ``canonical`` gives full names."""
    return tuple(
        one
        for number, expansion in expansions(study).items()
        for one in _served(study.strategies[number], expansion, canonical)
    )


def _served(
    said: StrategySection | str, expansion: Expansion, canonical: Callable[[str], str]
) -> Iterator[Contender]:
    strategy = said if isinstance(said, str) else said.name
    tests = [(name, canonical(test)) for name, test in expansion.tests if name != UNTUNED]
    if expansion.curve and tests:
        names = tuple(name for name, _ in tests)
        yield Contender(expansion.curve, strategy, names, tests[0][1])
        return
    several = Counter(name for name, _ in tests)
    for name, test in tests:
        title = f"{name} under {alias_of(test)}" if several[name] > 1 else name
        yield Contender(title, strategy, (name,), test)


def expanded(study: Study) -> Study:
    """The study with its strategies as conditions, templates and pairs; itself if it has none.

    InputError where two strategies mean different things by one name.
    """
    if not study.strategies:
        return study
    templates, conditions = dict(study.templates), {_name(one): one for one in study.train}
    pairs = [*study.pairs, *(f"{_name(one)} -> {test}" for one in study.train for test in study.test)]
    strategy_of: dict[int, int] = {}
    for number, one in expansions(study).items():
        before = len(conditions)
        also = one.leakage if study.test_leakage else ()
        with study.at("strategies", number):
            _add(templates, one.templates, "template")
            _add(conditions, {_name(condition): condition for condition in one.conditions}, "condition")
        strategy_of |= dict.fromkeys(range(before, len(conditions)), number)
        pairs += [f"{condition} -> {test}" for condition, test in (*one.tests, *also)]
    changed = study.model_copy(
        update={
            "strategies": (),
            "templates": templates,
            "train": tuple(conditions.values()),
            "test": (),
            "pairs": tuple(dict.fromkeys(pairs)),
        }
    )
    changed._origin, changed._strategy_of = study._origin, strategy_of
    return changed


def _name(condition: TrainSection | str) -> str:
    return condition if isinstance(condition, str) else condition.name or str(condition.template)


def _add(known: dict[str, _Value], more: Mapping[str, _Value], what: str) -> None:
    for name, value in more.items():
        if known.setdefault(name, value) != value:
            raise InputError(
                f"the {what} {name!r} means something else already. Give the strategy a `label`."
            )
