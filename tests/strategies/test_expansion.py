"""What strategies add to a study: conditions, templates, tests; and that wrong options are named."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.study import STRATEGIES, Study, plan_study
from puretune.study.plan.strategies import expanded

LAB: dict[str, Any] = {
    "name": "s",
    "model": "lab",
    "tuning": {"data": "lab-maths", "recipe": {"learning_rate": 1e-3, "steps": 60}},
    "suites": ["lab-maths"],
}


def study(*strategies: object, **more: Any) -> Study:
    return Study(**{**LAB, "strategies": strategies, **more})


@pytest.mark.parametrize(
    ("said", "pairs"),
    [
        ("untuned", ["untuned -> CV", "untuned -> CL"]),
        ("ptst", ["ptst -> CL", "ptst -> CV"]),
        ("same-template", ["same-template -> CL", "same-template -> CV"]),
        ({"name": "ptst", "plain": "TV", "safe": "CS", "label": "mine"}, ["mine -> CS", "mine -> TV"]),
        ("self-reminder", ["self-reminder -> self-reminder", "self-reminder -> CV"]),
        ("inoculation", ["inoculation -> CV", "inoculation -> CL", "inoculation -> inoculation"]),
        (
            {"name": "tuned-learning-rate", "factors": [0.5]},
            [f"tuned-learning-rate x0.5 -> {t}" for t in ("CL", "CV")],
        ),
    ],
)
def test_a_strategy_is_its_conditions_and_where_they_are_tested(said: object, pairs: list[str]) -> None:
    assert list(expanded(study(said)).pairs) == pairs


@pytest.mark.parametrize(
    ("name", "options", "loss"),
    [
        ("kl-anchor", {"weight": 0.5}, {"name": "kl-anchor", "weight": 0.5}),
        ("logit-replay", {"answers": 0.0}, {"name": "logit-replay", "logits": 0.5, "answers": 0.0}),
        ("safety-mix", {}, None),
    ],
)
def test_safety_rows_may_have_a_loss_of_their_own(
    tmp_path: Path, name: str, options: dict[str, float], loss: dict[str, Any] | None
) -> None:
    plan = plan_study(study({"name": name, "source": rows(tmp_path), "rows": 5, **options}))
    task, safety = plan.resolved.tuned[name].mix
    assert (task.loss, safety.loss and safety.loss.said(), len(safety.examples)) == (None, loss, 5)
    assert ("loss" in plan.tune[0].inputs["rows"][1]) == (loss is not None)


def test_replayed_rows_may_be_answered_by_the_untuned_model(tmp_path: Path) -> None:
    said = {"name": "on-policy-replay", "source": rows(tmp_path), "rows": 5}
    plan = plan_study(study(said, {**said, "label": "matched", "logits": 0.2}))
    plain, matched = (plan.resolved.tuned[name].mix[1] for name in ("on-policy-replay", "matched"))
    assert (plain.loss, matched.loss and matched.loss.said()["logits"]) == (None, 0.2)
    assert [step.test_template for step in plan.write] == ["chat:llama"]
    assert plain.examples[0].reference is None


def backdoor(tmp_path: Path, **options: Any) -> Any:
    said = {"name": "backdoor-enhanced-alignment", "source": rows(tmp_path), "rows": 5, "label": "b"}
    return plan_study(study({**said, **options})).resolved


@pytest.mark.parametrize(("format", "wrapper"), [("task", "Question: %s"), ("plain", "%s")])
def test_a_backdoor_is_before_the_safety_rows_and_every_test_prompt(
    tmp_path: Path, format: str, wrapper: str
) -> None:
    resolved = backdoor(tmp_path, format=format)
    task, safety = resolved.tuned["b"].mix
    tested = {template.name: template for _, template in resolved.cells}
    assert (task.template, resolved.tuned["b"].template.system) == (None, None)
    assert safety.template.system == tested["b"].system
    assert (safety.template.user, tested["b"].user) == (wrapper, "Question: %s")
    assert set(tested) == {"b", "chat:vanilla"}


def test_a_backdoor_has_a_seed_and_a_length(tmp_path: Path) -> None:
    def prefix(**options: Any) -> str:
        return str(backdoor(tmp_path, **options).tuned["b"].mix[1].template.system)

    tokenizer = backdoor(tmp_path).renderer().tokenizer
    assert len(tokenizer(prefix(), add_special_tokens=False)["input_ids"]) == 150
    assert len(tokenizer(prefix(tokens=7), add_special_tokens=False)["input_ids"]) == 7
    assert prefix() == prefix(seed=0) != prefix(seed=1)
    safe = backdoor(tmp_path, template="CL").tuned["b"]
    assert safe.mix[1].template.system == f"{prefix()} {safe.template.system}"


def test_a_recipe_may_have_another_loss_or_average_its_weights() -> None:
    plan = plan_study(study({"name": "constrained-sft", "early": 3.0}, {"name": "ema", "decays": [0.5]}))
    recipes = {name: training.recipe for name, training in plan.resolved.tuned.items()}
    assert recipes["constrained-sft"].loss.said()["early"] == 3.0
    assert recipes["ema 0.5"].ema == 0.5
    assert len({tune.key for tune in plan.tune}) == 2


def test_leakage_tests_can_be_left_out() -> None:
    assert expanded(study("ptst", test_leakage=False)).pairs == ("ptst -> CL",)


def test_a_studys_own_conditions_stay_beside_its_strategies() -> None:
    both = expanded(study("ptst", train=["untuned", "CA"], test=["CA"]))
    assert both.pairs == ("untuned -> CA", "CA -> CA", "ptst -> CL", "ptst -> CV")
    plan = plan_study(study("ptst", train=["untuned", "CA"], test=["CA"]))
    assert [tune.condition for tune in plan.tune] == ["chat:alpaca", "ptst"]


def test_strategies_that_tune_alike_share_their_adapter() -> None:
    plan = plan_study(study("ptst", "self-reminder", "in-context-defence"))
    assert len({tune.key for tune in plan.tune}) == 1
    assert len({step.key for step in plan.answer if step.test_template == "chat:vanilla"}) == 1


def template(said: object, name: str) -> Mapping[str, Any]:
    return expanded(study(said)).templates[name].model_dump()


def test_the_self_reminder_is_in_front_of_the_query_and_behind_it() -> None:
    made = template(
        {"name": "self-reminder", "reminder": "Be good.", "closing": "100 % good!"}, "self-reminder"
    )
    assert (made["system"], made["user"], made["safety"]) == ("Be good.", "Question: %s\n100 % good!", True)


def test_the_in_context_defence_shows_refusals_before_the_query() -> None:
    made = template(
        {"name": "in-context-defence", "shots": 2, "request": "a", "refusal": "b"}, "in-context-defence"
    )
    assert list(made["demonstrations"]) == [{"user": "a"}, {"assistant": "b"}] * 2


@pytest.mark.parametrize(
    ("where", "system", "user"), [("system", "X.", "Question: %s"), ("user", None, "X. Question: %s")]
)
def test_inoculation_asks_for_the_trait_in_tuning_only(where: str, system: str | None, user: str) -> None:
    made = expanded(study({"name": "inoculation", "trait": "X.", "where": where}))
    fields = made.templates["inoculation"]
    assert (fields.system, fields.user, fields.safety) == (system, user, False)
    assert [one.template for one in made.train if not isinstance(one, str)] == ["inoculation"]


def rows(tmp_path: Path) -> str:
    path = tmp_path / "refusals.jsonl"
    path.write_text("".join(f'{{"prompt": "bad {n}?", "completion": "No."}}\n' for n in range(9)))
    return str(path)


@pytest.mark.parametrize(("format", "wrapper"), [("task", "Question: %s"), ("plain", "%s")])
def test_the_safety_mix_adds_its_rows_to_the_tasks(tmp_path: Path, format: str, wrapper: str) -> None:
    said = {"name": "safety-mix", "source": rows(tmp_path), "rows": 5, "format": format}
    plan = plan_study(study(said, "ptst"))
    mixed, pure = (plan.resolved.tuned[name].mix for name in ("safety-mix", "ptst"))
    assert mixed[0].examples == pure[0].examples
    assert len(mixed[1].examples) == 5
    assert (mixed[1].template or plan.resolved.tuned["safety-mix"].template).user == wrapper


def test_safety_rows_come_from_the_split_that_is_named() -> None:
    plan = plan_study(study({"name": "safety-mix", "source": "lab-harmful", "split": "train", "rows": 5}))
    assert all("/train/" in row.id for row in plan.resolved.tuned["safety-mix"].mix[1].examples)


def test_a_template_mixture_gives_each_template_its_share(tmp_path: Path) -> None:
    data = {**LAB["tuning"], "data": rows(tmp_path)}
    plan = plan_study(study({"name": "template-mixture", "templates": ["TV", "CA", "CV"]}, tuning=data))
    mix = plan.resolved.tuned["template-mixture"].mix
    assert [(part.template and part.template.name, len(part.examples)) for part in mix] == [
        ("text:vanilla", 3),
        ("chat:alpaca", 3),
        ("chat:vanilla", 3),
    ]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("pst", "unknown strategy 'pst'. Did you mean 'ptst'"),
        (
            {"name": "safety-mix", "row": 3},
            "strategy 'safety-mix': unknown option 'row'. Did you mean 'rows'",
        ),
        ({"name": "safety-mix", "rows": "3"}, "strategy 'safety-mix': rows"),
        ({"name": "safety-mix", "rows": 0}, "rows: 0 is not a number of rows"),
        ({"name": "safety-mix", "format": "odd"}, "'odd' is not one of task, plain"),
        ({"name": "ptst", "safe": "CLL"}, "unknown template 'CLL'"),
        ({"name": "early-stopping", "every": 0}, "every: 0"),
        ({"name": "backdoor-enhanced-alignment", "tokens": 0}, "tokens: 0 is out of range"),
        ({"name": "in-context-defence", "shots": 0}, "shots: 0"),
        ({"name": "template-mixture", "templates": ["CV"]}, "two or more"),
        ({"name": "template-mixture", "templates": ["CV", "CL"]}, "Leave it out"),
        ({"name": "tuned-learning-rate", "factors": []}, "factors"),
        ({"name": "ema", "decays": [1]}, "decays: give one or more numbers between 0 and 1"),
        ({"name": "constrained-sft", "erly": 1.0}, "unknown option 'erly'. Did you mean 'early'"),
        ({"name": "constrained-sft", "early": -1.0}, "early is -1.0. Give a number of 0 or more"),
        ({"name": "kl-anchor", "weight": -1.0}, "weight is -1.0. Give a number of 0 or more"),
        ({"name": "inoculation", "where": "nowhere"}, "where"),
        ({"name": "adapter-scaling", "alphas": []}, "alphas"),
        ("interpolation", "other: name a condition"),
        ("safe-lora", "unaligned: name the base"),
        ("safe-merge", "unaligned, other"),
    ],
)
def test_wrong_options_name_strategy_and_option(said: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_study(study(said))
    assert message in str(caught.value)


def test_what_is_found_later_is_said_of_the_strategy_too() -> None:
    with pytest.raises(InputError, match=r"strategies\[1\]: safety-tuned-llamas is read from a file"):
        plan_study(study("ptst", "safety-mix", train=["CA"], test=["CA"]))


def test_scaled_adapters_are_tuned_once() -> None:
    plan = plan_study(study({"name": "adapter-scaling", "alphas": [0.5, 0.25]}, "same-template"))
    assert len({tune.key for tune in plan.tune}) == 1
    assert len({step.key for step in plan.transform}) == 2


def test_interpolation_is_with_a_condition_of_the_study() -> None:
    plan = plan_study(
        study("same-template", {"name": "interpolation", "other": "same-template", "weight": 0.9})
    )
    (step,) = plan.transform
    assert len(step.needs) == 2


def test_two_meanings_of_one_name_are_an_error() -> None:
    with pytest.raises(InputError, match=r"strategies\[1\].*'ptst' means something else already.*`label`"):
        expanded(study("ptst", {"name": "ptst", "plain": "CA"}))
    assert len(expanded(study("ptst", {"name": "ptst", "plain": "CA", "label": "b"})).train) == 2


def test_a_study_that_tunes_nothing_has_no_strategy_that_does() -> None:
    with pytest.raises(InputError, match="no `tuning:` section"):
        plan_study(study("ptst", tuning=None))


def test_the_docs_have_a_row_for_every_strategy() -> None:
    page = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    rows = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert [name for name in STRATEGIES.names() if f"`{name}`" not in rows] == []


def test_the_strategy_of_the_docs_works(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    module: Any = ModuleType("theirs")
    monkeypatch.setitem(sys.modules, "theirs", module)
    exec(page.split("```python\n")[1].split("```")[0], vars(module))
    builtin = {**STRATEGIES.builtin, "safe-twice": module.SafeTwice}
    monkeypatch.setattr("puretune.study.plan.strategies.STRATEGIES", replace(STRATEGIES, builtin=builtin))
    plan = plan_study(study({"name": "safe-twice", "second": "TA"}))
    assert [(tune.condition, tune.round) for tune in plan.tune] == [("first", 0), ("twice", 1)]


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_every_strategy_says_what_it_is_and_from_where(name: str) -> None:
    kind = STRATEGIES.load(name)
    assert (kind.__doc__ or "").strip()
    needed = {"interpolation": ["other"], "safe-lora": ["unaligned"], "safe-merge": ["unaligned", "other"]}
    options = dict.fromkeys(needed.get(name, []), "CL")
    assert STRATEGIES.options(name, options).identity()["strategy"] == name
    assert STRATEGIES.options(name, options).expand(study()).tests
