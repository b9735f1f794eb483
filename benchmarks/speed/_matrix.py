"""What is measured: the demo's study, three seeds of it, as conditions to tune and requests to answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from puretune.data import Example
from puretune.inference import Decoding, Request
from puretune.lab.offers import demo_study
from puretune.models import AdapterRef, BaseModel, ModelSpec, load_base
from puretune.study import named_study, plan_study
from puretune.templates import PromptTemplate
from puretune.tuning import Recipe, TrainingRow, TuningTask

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Matrix:
    """The demo's study: five train templates by three seeds, five test templates, its suites."""

    model: str
    recipe: Recipe
    train: tuple[PromptTemplate, ...]
    test: tuple[PromptTemplate, ...]
    examples: tuple[Example, ...]
    """To tune on."""
    suites: dict[str, tuple[tuple[Example, ...], int]]
    """Prompts per suite, and the most new tokens of an answer."""
    markup: str = "auto"


def matrix(steps: int | None = None, prompts: int | None = None) -> Matrix:
    """The study of ``puretune demo``; ``steps`` and ``prompts`` (per suite) cut slices out of it."""
    resolved = plan_study(named_study(demo_study(full=True))).resolved
    training = next(iter(resolved.tuned.values()))  # all have the study's own data and recipe
    recipe = replace(training.recipe, steps=steps or training.recipe.steps)
    # As many examples as are trained on: whoever renders rows beforehand renders none in vain
    needed = (recipe.steps or 1) * recipe.batch_size * recipe.accumulation
    examples = tuple(example for part in training.mix for example in part.examples)
    tuned = {way.name: way.template for way, _ in resolved.cells if way.template is not None}
    return Matrix(
        model=resolved.base.spec.model,
        recipe=recipe,
        train=tuple(tuned.values()),
        test=tuple({template.name: template for _, template in resolved.cells}.values()),
        examples=examples[:needed],
        suites={
            suite.name: (suite.examples[:prompts], suite.decoding.max_new_tokens) for suite in resolved.suites
        },
    )


def base_model(made: Matrix, dtype: str = "float32", threads: int = 1) -> BaseModel:
    """The study's model on this CPU."""
    return load_base(
        ModelSpec(made.model, markup=made.markup, dtype=dtype, device="cpu", threads=threads)  # type: ignore[arg-type]
    )


def tasks(made: Matrix, out: Path, seeds: Sequence[int] = SEEDS) -> list[TuningTask]:
    """Every train template with every seed."""
    return [
        TuningTask(
            name=f"{template.name} seed {seed}",
            rows=tuple(TrainingRow(example, template) for example in made.examples),
            recipe=made.recipe,
            seed=seed,
            out=out / f"{template.name.replace(':', '-')}-{seed}",
        )
        for template in made.train
        for seed in seeds
    ]


def requests(made: Matrix, base: BaseModel, adapters: Sequence[AdapterRef | None]) -> Iterator[Request]:
    """Every prompt of every suite under every test template, asked of every adapter; greedy. As in a study, a
    request says how much of its prompt all prompts of its template begin with."""
    rendered = {template.name: list(_prompts(made, base, template)) for template in made.test}
    for number, adapter in enumerate(adapters):
        for template, prompts in rendered.items():
            shared = common([ids for _, ids, _ in prompts])
            for place, ids, longest in prompts:
                yield Request(f"{number}/{template}/{place}", ids, adapter, Decoding(longest), shared=shared)


def _prompts(
    made: Matrix, base: BaseModel, template: PromptTemplate
) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """(suite and place in it, token ids, most new tokens)"""
    for suite, (examples, longest) in made.suites.items():
        for place, example in enumerate(examples):
            yield f"{suite}/{place}", base.renderer.prompt(template, example.prompt_messages).ids, longest


def common(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many leading tokens all prompts share."""
    low, high = min(prompts), max(prompts)  # what these have in common, all in between have
    return next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
