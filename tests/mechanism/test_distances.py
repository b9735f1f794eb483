"""Distances between renderings against their definitions, and of a study's templates."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from puretune.cli.templates import templates
from puretune.errors import InputError
from puretune.mechanism import (
    TemplateDistance,
    edit_distance,
    measured_beside,
    prompt_distances,
    separations,
    template_distances,
)
from puretune.models import ModelSpec, load_base
from puretune.study import Study, plan_study
from tests.report.matrices import paper_like, square
from tests.study.studies import small_model, small_study

TOKENS = st.lists(st.integers(0, 3), max_size=7)


@given(TOKENS, TOKENS, TOKENS)
def test_the_edit_distance_is_a_metric(a: list[int], b: list[int], c: list[int]) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


def test_the_edit_distance_of_known_sequences() -> None:
    assert edit_distance([*map(ord, "kitten")], [*map(ord, "sitting")]) == 3
    assert edit_distance([1, 2, 3], [2, 3]) == 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("base"))


def test_divergence_and_hidden_distance_are_those_of_the_formulas(model: Path) -> None:
    base = load_base(ModelSpec(str(model)))
    one, other = (1, 20, 30, 40), (1, 20, 31)
    found, same = prompt_distances(base, [(one, other), (one, one)])
    with torch.inference_mode():
        read = [base.model(torch.tensor([ids]), output_hidden_states=True) for ids in (one, other)]
    p, q = (torch.softmax(each.logits[0, -1].double(), -1) for each in read)
    a, b = (each.hidden_states[-1][0, -1].double() for each in read)
    assert found.edits == 2
    assert found.divergence == pytest.approx(float((p * (p / q).log()).sum()), rel=1e-3)
    assert found.hidden == pytest.approx(float(1 - a @ b / (a.norm() * b.norm())), rel=1e-3)
    assert (same.edits, same.divergence) == (0, 0)
    assert same.hidden == pytest.approx(0, abs=1e-6)


def test_a_study_measures_its_templates_from_those_it_tunes_under(model: Path, tmp_path: Path) -> None:
    plan = plan_study(Study.load(small_study(tmp_path, model)))
    found = {(one.train_template, one.test_template): one for one in template_distances(plan, 2)}
    assert set(found) == {
        (a, b) for a in ("chat:vanilla", "chat:llama") for b in ("chat:vanilla", "chat:llama")
    }
    assert found["chat:llama", "chat:llama"].edits == 0
    there, back = found["chat:vanilla", "chat:llama"], found["chat:llama", "chat:vanilla"]
    assert there.edits == back.edits > 50
    assert (there.safety, back.safety, there.prompts) == (True, False, 2)
    assert there.divergence > 0


def test_a_study_that_tunes_nothing_has_no_distances(model: Path, tmp_path: Path) -> None:
    plan = plan_study(Study.load(small_study(tmp_path, model, train=["untuned"], tuning=None)))
    with pytest.raises(InputError, match="tunes nothing"):
        template_distances(plan)


def test_the_command_prints_a_row_for_each_pair(model: Path, tmp_path: Path) -> None:
    study = small_study(tmp_path, model)
    done = CliRunner().invoke(templates, ["distance", str(study), "--prompts", "1"], terminal_width=80)
    assert done.exit_code == 0, done.output or done.exception
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:]] == [
        [a, "->", b, "yes" if b == "CL" else "no"] for a in ("CV", "CL") for b in ("CV", "CL")
    ]


def test_what_was_measured_is_beside_the_distance() -> None:
    matrix = square(paper_like)
    harm = next(one for one in matrix.measures if one.measures == "harm")
    expected = {
        (one.train_template, one.test_template): one.value
        for one in matrix.pooled
        if one.train_template
        and (one.suite, one.scorer, one.metric) == (harm.suite, harm.scorer, harm.metric)
    }
    found = measured_beside(matrix)
    assert {pair: rates["harm"] for pair, rates in found.items()} == expected


def distances(safety: bool, fars: list[int]) -> list[TemplateDistance]:
    plain = TemplateDistance("T", "", safety, 0, 0, 0, 1)
    return [replace(plain, test_template=f"{safety} {far}", edits=far, hidden=far) for far in fars]


def test_shift_and_safety_prompt_are_told_apart() -> None:
    """Attack success falls by 10 points with each rank, and by 30 more with a safety prompt."""
    all_of_them = [*distances(False, [0, 2, 4]), *distances(True, [1, 3, 5])]
    rates = {
        ("T", one.test_template): {"harm": 0.9 - 0.1 * one.edits - 0.3 * one.safety} for one in all_of_them
    }
    found = {one.distance: one for one in separations(all_of_them, rates)}
    assert found["edits"].safety_prompt == pytest.approx(-0.3)
    assert (found["edits"].without, found["edits"].among_safe) == pytest.approx((-1, -1))
    assert math.isnan(found["divergence"].without)
    assert separations(all_of_them[:5], rates) == []
