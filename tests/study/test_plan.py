"""The plan: steps under keys of their inputs, so that a change touches only what depends on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.study import Plan, Study, plan_study
from puretune.study.plan.asking import SHARD
from tests.study.studies import STUDY, small_study


def planned(tmp_path: Path, model: Path, /, **changes: Any) -> Plan:
    return plan_study(Study.load(small_study(tmp_path, model, **changes)))


def refusal(tmp_path: Path, model: Path, /, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, model, **changes)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def keys(steps: Any) -> set[str]:
    return {step.key for step in steps}


def suite(**changes: Any) -> list[dict[str, Any]]:
    return [{**STUDY["suites"][0], **changes}]


def test_a_plan_has_every_condition_seed_and_cell(tmp_path: Path, model: Path) -> None:
    made = planned(tmp_path, model)
    assert [(step.condition, step.seed) for step in made.tune] == [
        ("chat:vanilla", 0), ("chat:vanilla", 1), ("chat:llama", 0), ("chat:llama", 1)
    ]  # fmt: skip
    # untuned once, two templates with two seeds each, all under two test templates
    assert len(made.answer) == len(made.score) == (1 + 2 * 2) * 2
    assert json.loads(json.dumps(made.to_json()))["tune"][0]["seed"] == 0


def test_planning_again_gives_the_same_keys_wherever_the_files_lie(tmp_path: Path, model: Path) -> None:
    assert planned(tmp_path / "a", model).to_json() == planned(tmp_path / "b", model).to_json()


def test_keeping_the_chat_templates_own_system_message_changes_every_key(tmp_path: Path, model: Path) -> None:
    usual = planned(tmp_path / "a", model)
    kept = planned(tmp_path / "b", model, model={"path": "./model", "default_system": "keep"})
    forbid = planned(tmp_path / "c", model, model={"path": "./model", "default_system": "forbid"})
    assert not keys(usual.answer) & keys(kept.answer)
    assert not keys(usual.tune) & keys(kept.tune)
    assert usual.to_json() == forbid.to_json()


def test_the_tuner_is_named_or_described(tmp_path: Path, model: Path) -> None:
    usual = planned(tmp_path, model, tuning={**STUDY["tuning"], "tuner": "loop"})
    described = planned(tmp_path, model, tuning={**STUDY["tuning"], "tuner": {"name": "loop"}})
    assert usual.to_json() == described.to_json()
    assert usual.tune[0].inputs["tuner"] == {"name": "loop", "version": "2"}
    said = refusal(tmp_path, model, tuning={**STUDY["tuning"], "tuner": "lop"})
    assert "tuning.tuner: unknown tuner 'lop'. Did you mean 'loop'?" in said


def test_a_regular_curve_keeps_steps_and_changes_no_adapter(tmp_path: Path, model: Path) -> None:
    recipe = {**STUDY["tuning"]["recipe"], "keep_every": 1}
    curve = planned(tmp_path, model, tuning={**STUDY["tuning"], "recipe": recipe})
    assert curve.tune[0].kept == (1, 2, 3)
    assert keys(curve.tune) == keys(planned(tmp_path, model).tune)


def test_pairs_are_the_only_cells(tmp_path: Path, model: Path) -> None:
    made = planned(
        tmp_path, model, train=None, test=None, pairs=["untuned -> CL", "CV -> CV", "CV -> gsm:chat:llama"]
    )
    cells = {(step.who.condition, step.test_template) for step in made.answer}
    assert cells == {
        ("untuned", "chat:llama"),
        ("chat:vanilla", "chat:vanilla"),
        ("chat:vanilla", "chat:llama"),
    }
    assert {step.condition for step in made.tune} == {"chat:vanilla"}


def test_a_kept_step_is_a_cell_of_its_own_and_the_last_is_not_repeated(tmp_path: Path, model: Path) -> None:
    tuning = {**STUDY["tuning"], "recipe": {"steps": 3, "keep": [1, 3]}, "seeds": [0]}
    made = planned(tmp_path, model, tuning=tuning, train=["CV"], test=["CV"])
    assert [step.who.step for step in made.answer] == [1, None]
    assert made.tune[0].kept == (1, 3)


def test_keeping_more_steps_changes_no_adapter(tmp_path: Path, model: Path) -> None:
    kept = {**STUDY["tuning"], "recipe": {**STUDY["tuning"]["recipe"], "keep": [1]}}
    assert keys(planned(tmp_path / "a", model).answer) < keys(
        planned(tmp_path / "b", model, tuning=kept).answer
    )


@pytest.mark.parametrize(
    ("change", "tunes", "answers", "scores"),
    [
        ({"name": "other"}, True, True, True),
        ({"suites": suite(scorers=["gsm8k", "refusal"])}, True, True, True),
        ({"test": ["CV", "CL", "CS"]}, True, True, True),
        ({"train": ["untuned", "CV", "CL", "CS"]}, True, True, True),
        ({"tuning": {**STUDY["tuning"], "seeds": [0, 1, 2]}}, True, True, True),
        ({"suites": suite(max_new_tokens=5)}, True, False, False),
        ({"decoding": {"temperature": 0.5}}, True, False, False),
    ],
)
def test_what_does_not_depend_on_a_change_keeps_its_key(
    tmp_path: Path, model: Path, change: dict[str, Any], tunes: bool, answers: bool, scores: bool
) -> None:
    before, after = planned(tmp_path / "a", model), planned(tmp_path / "b", model, **change)
    assert (keys(before.tune) <= keys(after.tune)) == tunes
    assert (keys(before.answer) <= keys(after.answer)) == answers
    assert (keys(before.score) <= keys(after.score)) == scores
    assert after.key != before.key


@pytest.mark.parametrize(
    "tuning",
    [{"recipe": {"steps": 3, "rank": 3}}, {"data": [{"source": "sums.jsonl", "weight": 2}]}, {"seeds": [2]}],
)
def test_a_change_in_tuning_leaves_the_untuned_answers(
    tmp_path: Path, model: Path, tuning: dict[str, Any]
) -> None:
    before = planned(tmp_path / "a", model)
    after = planned(tmp_path / "b", model, tuning={**STUDY["tuning"], **tuning})
    assert not keys(before.tune) & keys(after.tune)
    shared = keys(before.answer) & keys(after.answer)
    assert shared == {step.key for step in before.answer if step.who.condition == "untuned"}


def test_a_changed_word_in_the_data_is_another_key(tmp_path: Path, model: Path) -> None:
    before = planned(tmp_path, model)
    small_study(tmp_path, model)
    text = (tmp_path / "sums.jsonl").read_text()
    (tmp_path / "sums.jsonl").write_text(text.replace("plus", "and"))
    after = plan_study(Study.load(tmp_path / "study.yaml"))
    assert not keys(before.tune) & keys(after.tune)
    assert not keys(before.answer) & keys(after.answer)


def test_a_long_suite_is_cut_into_shards(tmp_path: Path, model: Path) -> None:
    rows = [{"question": f"{i}?", "answer": f"#### {i}"} for i in range(SHARD + 5)]
    long = tmp_path / "long.jsonl"
    long.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = planned(
        tmp_path, model, suites=suite(source="long.jsonl", limit=None), train=["untuned"], test=["CV"]
    )
    assert [(step.first, step.prompts) for step in made.answer] == [(0, SHARD), (SHARD, 5)]


def test_a_mix_trains_each_part_under_its_own_template_as_often_as_its_weight(
    tmp_path: Path, model: Path
) -> None:
    data = ["sums.jsonl", {"source": "sums.jsonl", "template": "TV", "weight": 1.5}]
    made = planned(tmp_path, model, tuning={**STUDY["tuning"], "data": data})
    first, second = made.resolved.tuned["chat:vanilla"].mix
    assert (len(first.examples), len(second.examples)) == (6, 9)
    assert first.template is None
    assert second.template is not None
    assert second.template.name == "text:vanilla"
    assert len({row["template"] for row in made.tune[0].inputs["rows"]}) == 2


def test_a_finished_plan_imports_nothing_heavy(tmp_path: Path, model: Path) -> None:
    study = small_study(tmp_path, model)
    code = (
        f"import sys; from puretune.study import Study, plan_study; plan_study(Study.load({str(study)!r}))"
        "\nprint(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {
        "torch",
        "transformers",
        "peft",
        "pandas",
        "scipy",
        "datasets",
        "numpy",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"train": ["untuned", "CVV"]}, "train[1]: unknown template 'CVV'"),
        (
            {"train": ["untunned"]},
            "train[0]: unknown template 'untunned'. Did you mean the condition 'untuned'?",
        ),
        ({"train": ["CV", "chat:vanilla"]}, "train: duplicate name 'chat:vanilla' (2 times)"),
        ({"train": [{"template": "CV", "adapter": "x"}]}, "this one has template and adapter"),
        ({"train": [{"adapter": "x"}]}, "train[0]: an existing adapter needs a name"),
        ({"train": [{"adapter": "x", "name": "a"}]}, "x: no such adapter directory"),
        ({"train": [{"adapter": "model", "name": "a"}]}, "is a full checkpoint, not an adapter"),
        ({"train": [{"start": "x", "template": "untuned"}]}, "`start` needs `template`"),
        ({"train": None}, "nothing to do"),
        ({"test": None}, "no template to test under"),
        ({"test": ["CV", "chat:lama"]}, "test[1]: unknown template 'chat:lama'. Did you mean 'chat:llama'?"),
        ({"pairs": ["CV"]}, "pairs[0]: 'CV' is not a pair"),
        ({"pairs": ["CV -> CS"]}, "pairs[0]: unknown test template 'CS'"),
        ({"pairs": ["CS -> CV"]}, "pairs[0]: unknown condition 'CS'"),
        ({"tuning": None}, "'CV' is tuned, and the study has no `tuning:` section"),
        ({"suites": ["gsm8"]}, "suites[0]: unknown suite 'gsm8'. Did you mean 'gsm8k'?"),
        ({"suites": suite(scorers=["gsm8"])}, "suites[0]: unknown scorer 'gsm8'. Did you mean 'gsm8k'?"),
        ({"suites": suite(scorers=[])}, "suites[0]: your own suite needs scorers"),
        ({"suites": suite() * 2}, "suites: duplicate name 'sums' (2 times)"),
        ({"suites": suite(source="none.jsonl")}, "none.jsonl"),
        ({"model": "./nothing"}, "model: "),
        ({"tuning": {"data": "gsm8kk"}}, "tuning.data: unknown source 'gsm8kk'. Did you mean 'gsm8k'?"),
        (
            {"tuning": {"data": [{"source": "sums.jsonl", "template": "CX"}]}},
            "tuning.data[0]: unknown template",
        ),
        ({"tuning": {"data": "empty.jsonl"}}, "tuning.data: "),
        ({"tuning": {"data": "asked.jsonl"}}, "has no answer to train on"),
        ({"tuning": {"data": "broken.jsonl"}}, "broken.jsonl:2"),
        ({"tuning": {"data": "sums.jsonl", "recipe": {"steps": 2, "keep": [5]}}}, "tuning.recipe.keep"),
        (
            {"tuning": {"data": "sums.jsonl", "recipe": {"targets": ["q_pro"]}}},
            "tuning.recipe.targets: unknown target layer 'q_pro'. Did you mean 'q_proj'?",
        ),
        ({"model": {"path": "./model", "dtype": "float16"}}, "model: tuner 'gang' does not scale its loss"),
        ({"templates": {"calm": {"user": "no place"}}}, "templates.calm.user: the user wrapper"),
        (
            {"templates": {"CL": {"own_system": "drop"}}},
            "templates.CL: 'CL' is the short name of",
        ),
        (
            {"templates": {"none": {}}},
            "templates.none: the template 'none' is built in",
        ),
        ({"templates": {"untuned": {}}}, "templates.untuned: 'untuned' is the condition of the base model"),
        ({"own_system": "dorp"}, "own_system: 'dorp' is not one of forbid, keep, drop. Did you mean 'drop'?"),
        ({"templates_file": "none.yaml"}, "templates_file: "),
    ],
)
def test_bad_input_is_named_with_its_place(
    tmp_path: Path, model: Path, change: dict[str, Any], expected: str
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "asked.jsonl").write_text('{"question": "why?"}\n')
    (tmp_path / "broken.jsonl").write_text('{"question": "a", "answer": "b"}\n{"question"\n')
    message = refusal(tmp_path, model, **change)
    assert expected in message
    assert message.startswith("study.yaml:")


def test_an_adapter_of_another_base_is_refused(tmp_path: Path, model: Path) -> None:
    from puretune.models import ModelSpec, load_base, new_lora, save_lora
    from tests.tiny import tiny_llama

    other = load_base(ModelSpec(str(tiny_llama(tmp_path / "wide", hidden_size=64))))
    import torch

    lora = new_lora(other.model, 2, 4.0, ("q_proj",), torch.Generator().manual_seed(0))
    (tmp_path / "adapter").mkdir()
    save_lora(tmp_path / "adapter", lora, other.model, "wide", None)
    message = refusal(tmp_path, model, train=["untuned", {"adapter": "adapter", "name": "mine"}])
    assert "train[1]" in message
    assert "made for another base model" in message


def test_the_engine_and_its_options_are_part_of_every_answers_key(tmp_path: Path, model: Path) -> None:
    usual = planned(tmp_path, model)
    same = planned(tmp_path, model, engine="local")
    other = planned(tmp_path, model, engine={"name": "local", "batch_size": 2})
    assert keys(usual.answer) == keys(same.answer)
    assert keys(usual.tune) == keys(other.tune)
    assert not keys(usual.answer) & keys(other.answer)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("locl", "engine: unknown engine 'locl'. Did you mean 'local'?"),
        ({"name": "local", "batch": 2}, "unknown option 'batch'. Did you mean 'batch_size'?"),
    ],
)
def test_a_wrong_engine_is_named_with_its_place(tmp_path: Path, model: Path, engine: Any, said: str) -> None:
    assert said in refusal(tmp_path, model, engine=engine)


@pytest.mark.parametrize(("line", "system"), [("keep", ["Rows say so."]), ("drop", [])])
def test_the_line_that_the_error_about_system_messages_prints_works_when_pasted(
    tmp_path: Path, model: Path, line: str, system: list[str]
) -> None:
    from puretune.study import Study
    from puretune.study.plan.templates import templates_of
    from puretune.templates import Message

    row = (Message("system", "Rows say so."), Message("user", "hi"))
    path = small_study(tmp_path, model)
    with pytest.raises(InputError) as caught:
        templates_of(Study.load(path)).named("CV").turns(row)
    pasted = next(said for said in str(caught.value).splitlines() if f"own_system: {line}" in said)
    path.write_text(path.read_text() + pasted.strip() + "\n")
    turns = templates_of(Study.load(path)).named("CV").turns(row)
    assert [turn.content for turn in turns if turn.role == "system"] == system


def test_a_template_that_says_it_itself_keeps_its_own_own_system(tmp_path: Path, model: Path) -> None:
    from puretune.study import Study
    from puretune.study.plan.templates import templates_of

    own = {"calm": {"own_system": "keep"}, "plain": {}}
    study = Study.load(small_study(tmp_path, model, templates=own, own_system="drop"))
    named = templates_of(study).named
    assert [named(name).own_system for name in ("calm", "plain", "CL")] == ["keep", "drop", "drop"]
