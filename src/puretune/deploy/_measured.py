"""What a finished run says of one condition under one template: the adapter, the template, the cells."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from puretune.errors import CheckFailed, InputError, unknown
from puretune.files import read_mapping
from puretune.models import (
    AdapterRef,
    CheckpointRef,
    ModelSpec,
    RemoteBase,
    ServedModel,
    TunedModel,
    adapter_ref,
    fingerprint,
    is_hub_id,
    read_manifest,
    resolve_model_path,
    shown,
)
from puretune.study import CellResult, Matrix, Study, load_results
from puretune.study.matrix.run_directory import sound_file
from puretune.study.plan.conditions import Condition, conditions
from puretune.study.plan.strategies import expanded
from puretune.study.plan.templates import Templates, templates_of
from puretune.templates import PromptTemplate
from puretune.visible import visible

Tuned = AdapterRef | CheckpointRef
"""What can be exported: what a provider serves cannot."""


@dataclass(frozen=True)
class Measured:
    """One condition of a run, to be served under one template."""

    matrix: Matrix
    base: ModelSpec
    condition: str
    kind: str
    seed: int | None
    template: PromptTemplate
    trained: PromptTemplate | None
    """The template of the training; None: nothing was tuned in this run."""
    adapter: Tuned | None
    """None: the base model as it is."""
    cells: tuple[CellResult, ...]
    """Of this condition and seed under this template; none if that was not measured."""

    @property
    def seeds(self) -> int:
        """How many seeds of this condition the run has."""
        return len({cell.seed for cell in self.matrix.cells if cell.condition == self.condition})

    @property
    def source(self) -> str:
        """The base model as other programs load it: a hub id, or a directory."""
        spec = self.base
        return spec.model if is_hub_id(spec) else str(resolve_model_path(spec, weights=False))

    @property
    def as_trained(self) -> bool:
        """Whether it is served under the template that it was trained under (what the paper warns of)."""
        return self.trained is not None and _tokens(self.trained) == _tokens(self.template)


def measured(
    run: Path, condition: str, serve_as: str, seed: int | None = None, unmeasured: bool = False
) -> Measured:
    """What a run directory holds of a condition and a template.

    InputError for unknown names, and for a pair that was not measured together unless ``unmeasured``;
    CheckFailed where the base model or a file is no longer what the run had.
    """
    if not run.is_dir():
        raise InputError(
            f"{visible(run)}: no such run directory. Name the --out of a finished `puretune run`."
        )
    matrix = load_results(run)
    study = expanded(Study.load(sound_file(run, "study.yaml")))
    defined = templates_of(study)
    chosen = _condition(conditions(study, defined), condition, defined)
    template = _template(matrix, defined.named(serve_as))
    seed = _seed(matrix, chosen, seed)
    cells = tuple(
        cell
        for cell in matrix.cells
        if (cell.condition, cell.seed, cell.step, cell.test_template)
        == (chosen.name, seed, None, template.name)
    )
    if not (cells or unmeasured):
        raise _not_measured(matrix, chosen.name, template.name)
    return Measured(
        matrix=matrix,
        base=_base(matrix),
        condition=chosen.name,
        kind=chosen.kind,
        seed=seed,
        template=template,
        trained=chosen.template,
        adapter=_adapter(run, matrix, chosen, seed),
        cells=cells,
    )


def _condition(known: Sequence[Condition], name: str, defined: Templates) -> Condition:
    by_name = {one.name: one for one in known}
    name = name if name in by_name else defined.canonical(name)
    if name not in by_name:
        raise unknown("condition", name, by_name, where="this run")
    return by_name[name]


def _template(matrix: Matrix, template: PromptTemplate) -> PromptTemplate:
    """The template; CheckFailed if the run had another one of that name."""
    recorded = matrix.provenance["templates"].get(template.name)
    if recorded is not None and recorded["fingerprint"] != template.fingerprint:
        raise CheckFailed(
            f"template {template.name!r} is not the one that the run measured: its fingerprint is "
            f"{template.fingerprint}, not {recorded['fingerprint']}. Restore it, or run the study again."
        )
    return template


def _seed(matrix: Matrix, chosen: Condition, seed: int | None) -> int | None:
    """The seed: the one asked for, or the first; None where nothing was tuned."""
    if chosen.training is None:
        if seed is not None:
            raise InputError(
                f"condition {chosen.name!r} was not tuned in this run, so it has no seeds. Omit --seed."
            )
        return None
    seeds = [int(one) for one in matrix.provenance["seeds"]]
    if seed is not None and seed not in seeds:
        raise InputError(
            f"this run has no seed {seed}; it has {', '.join(map(str, seeds))}. Choose one of them."
        )
    return seeds[0] if seed is None else seed


def _not_measured(matrix: Matrix, condition: str, template: str) -> InputError:
    pairs = dict.fromkeys(
        f"{cell.condition} -> {cell.test_template}"
        for cell in matrix.cells
        if condition == cell.condition or template == cell.test_template
    )
    return InputError(
        f"{condition!r} was not measured under {template!r} in this run, so nothing is known of what would "
        f"be served. Measured: {', '.join(list(pairs)[:8]) or 'neither of them'}. Choose one of these, add "
        "the pair to the study and run it, or pass --unmeasured."
    )


def _base(matrix: Matrix) -> ModelSpec:
    """The base model; CheckFailed if its files have changed since the run."""
    facts: Mapping[str, Any] = matrix.provenance["model"]
    if facts["device"] == RemoteBase.device_type:
        raise InputError(f"the model {facts['model']!r} stays with its provider: nothing can be exported.")
    spec = ModelSpec(**{field.name: facts[field.name] for field in fields(ModelSpec) if field.name in facts})
    found = fingerprint(spec)
    if found != facts["fingerprint"]:
        raise CheckFailed(
            f"the base model {spec.model!r} is not the one of the run: its fingerprint is {found[:12]}, not "
            f"{str(facts['fingerprint'])[:12]}. Restore its files, or run the study again."
        )
    return spec


def _adapter(run: Path, matrix: Matrix, chosen: Condition, seed: int | None) -> Tuned | None:
    """The adapter or checkpoint that gave the answers."""
    plan = read_mapping(sound_file(run, "plan.json"), "plan")
    who = (chosen.name, seed, None)
    answers = [row for row in plan["answer"] if tuple(row["who"][k] for k in _WHO) == who]
    key = next((row["who"]["adapter"] for row in answers), None)
    if key is None:
        _check_existing(chosen, {row["inputs"]["adapter"]["existing"] for row in answers})
    ref = chosen.existing if key is None else _stored(run, matrix, key, chosen.name)
    if isinstance(ref, ServedModel):
        raise InputError(f"condition {chosen.name!r}: {shown(ref)} stays with its provider.")
    return ref


def _check_existing(chosen: Condition, measured: Container[Any]) -> None:
    ref = chosen.existing
    if ref is not None and ref.digest not in measured:
        raise CheckFailed(
            f"condition {chosen.name!r}: {shown(ref)} is not what the run measured. Restore it, or run the "
            "study again."
        )


_WHO = ("condition", "seed", "step")


def _stored(run: Path, matrix: Matrix, key: str, name: str) -> TunedModel:
    """What was tuned in the run, verified; found by its key, which equal trainings share."""
    places = (run / facts["path"] for facts in matrix.provenance["adapters"])
    path = next((place for place in places if place.parent.name == key and place.is_dir()), None)
    if path is None:
        raise CheckFailed(
            f"the adapter of condition {name!r} is not in the run's store. Run the same command again: it is "
            "made again."
        )
    read_manifest(path)
    return adapter_ref(path)


def _tokens(template: PromptTemplate) -> str:
    """A template's fingerprint, whatever it does with examples' own system messages."""
    return replace(template, own_system=None).fingerprint
