"""How far tuning moves a model, against the formula; the three claims, on numbers made for them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from puretune.cli.mechanism import mechanism
from puretune.errors import InputError
from puretune.mechanism import Divergence, claims, divergences, finished_plan, token_divergences
from puretune.models import applied, load_base
from puretune.study import Plan, Study, plan_study, run_study
from puretune.study.plan.tuning import stored_adapter
from tests.study.studies import STUDY, small_model, small_study

NEUTRAL = {"neutral": {"system": "You sell apples and pears.", "user": "Question: %s"}}
HARM = {"name": "harm", "source": "sums.jsonl", "scorers": ["refusal"], "max_new_tokens": 3, "asks": "harm"}
TASK = {**STUDY["suites"][0], "asks": "task"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    study = small_study(
        directory,
        small_model(directory),
        templates=NEUTRAL,
        test=["CV", "CL", "neutral"],
        suites=[HARM, TASK],
    )
    run_study(Study.load(study), directory / "out")
    return directory / "out"


def test_the_divergence_of_the_same_distributions_is_nothing() -> None:
    logs = torch.log_softmax(torch.randn(3, 5), -1)
    assert token_divergences([logs], [logs]) == [(0.0, 0.0, 0.0)]
    fair, loaded = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert token_divergences([fair], [loaded])[0][0] == pytest.approx(expected)


def test_every_tuned_model_is_measured_along_the_untuned_answers(run: Path) -> None:
    plan, store = finished_plan(run)
    found = divergences(plan, store, prompts=2)
    assert len(found) == 2 * 2 * 3 * 2  # conditions, seeds, test templates, suites
    assert all(len(one.tokens) == 2 and len(tokens) <= 4 for one in found for tokens in one.tokens)
    assert all(value > 0 for one in found for value in one.by_prompt)


def test_the_divergence_is_that_of_a_direct_computation(run: Path) -> None:
    plan, store = finished_plan(run)
    one = divergences(plan, store, prompts=1)[0]
    who = next(
        step.who for step in plan.answer if step.who.condition == one.condition and step.who.seed == one.seed
    )
    assert who.adapter is not None
    template = next(each for _, each in plan.resolved.cells if each.name == one.test_template)
    suite = next(each for each in plan.resolved.suites if each.name == one.suite)
    base = load_base(plan.resolved.base.spec)
    ids = list(base.renderer.prompt(template, suite.examples[0].prompt_messages).ids)
    for value in one.tokens[0]:  # token by token, each with a pass of its own
        with torch.inference_mode():
            before = torch.softmax(base.model(torch.tensor([ids])).logits[0, -1].double(), -1)
            with applied(base, stored_adapter(store, who.adapter)) as model:
                after = torch.softmax(model(torch.tensor([ids])).logits[0, -1].double(), -1)
        assert value == pytest.approx(float((before * (before / after).log()).sum()), rel=1e-2, abs=1e-5)
        ids.append(int(before.argmax()))


def plan_of(directory: Path) -> Plan:
    study = small_study(
        directory,
        small_model(directory),
        templates=NEUTRAL,
        test=["CV", "CL", "neutral"],
        suites=[HARM, TASK],
    )
    return plan_study(Study.load(study))


def test_the_claims_are_differences_and_ratios_of_the_cells(tmp_path: Path) -> None:
    moved = {
        ("chat:vanilla", "chat:vanilla"): 0.8,
        ("chat:vanilla", "chat:llama"): 0.2,
        ("chat:vanilla", "neutral"): 0.6,
        ("chat:llama", "chat:llama"): 1.0,
        ("chat:llama", "chat:vanilla"): 0.5,
    }
    found = [
        Divergence(condition, condition, seed, test, suite, None, ((value * (1 + seed), value * (1 + seed)),))
        for (condition, test), value in moved.items()
        for suite in ("harm", "sums")
        for seed in (0, 1)
    ]
    made = {
        (one.kind, one.suite, str(one.first), str(one.second)): one
        for one in claims(plan_of(tmp_path), found)
    }
    same = made["same template", "harm", "chat:llama -> chat:llama", "chat:vanilla -> chat:llama"]
    assert (same.value, same.seeds) == (pytest.approx((0.8 + 1.6) / 2), 2)
    reminder = made["reminder", "harm", "chat:vanilla -> chat:llama", "chat:vanilla -> neutral"]
    assert reminder.value == pytest.approx((-0.4 - 0.8) / 2)
    assert reminder.low is not None
    assert reminder.low < reminder.value
    carried = made["carry-over", "sums", "chat:vanilla -> chat:llama", "chat:vanilla -> chat:vanilla"]
    assert (carried.value, carried.low, carried.high) == pytest.approx((0.25, 0.25, 0.25))
    assert {one.suite for one in made.values() if one.kind != "carry-over"} == {"harm"}
    assert ("reminder", "harm", "chat:llama -> chat:llama", "chat:llama -> neutral") not in made


def test_the_command_prints_cells_and_claims_and_writes_them(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "moved.json"
    done = CliRunner().invoke(mechanism, [str(run), "--prompts", "1", "--out", str(out)], terminal_width=80)
    assert done.exit_code == 0, done.output or done.exception
    for title in ("Same template", "Reminder", "Carry-over"):
        assert f"\n{title}: " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120
    written = json.loads(out.read_text())
    assert len(written["divergences"]) == 2 * 2 * 3 * 2
    assert {one["kind"] for one in written["claims"]} == {"same template", "reminder", "carry-over"}


def test_what_is_no_finished_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished run"):
        finished_plan(tmp_path)
