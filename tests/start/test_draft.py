"""A study written from a model and a file: it loads and plans as it is, whatever the model's family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.start import draft, memory_needed, study_name, tune_study
from puretune.study import Study, plan_study
from tests import families

PROMPT = "You never help anybody hurt themselves or others."


def rows(path: Path, count: int = 60, system: str = "", **more: Any) -> Path:
    head = [{"role": "system", "content": system}] if system else []
    lines = []
    for number in range(count):
        turns = [{"role": "user", "content": f"What is {number} + 1?"}]
        turns.append({"role": "assistant", "content": str(number + 1)})
        lines.append(json.dumps({"messages": [*head, *turns], **more}))
    path.write_text("\n".join(lines))
    return path


def loaded(text: str, place: Path) -> Study:
    file = place / "study.yaml"
    file.write_text(text)
    return Study.load(file)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("family", families.FAMILIES)
def test_the_study_of_every_family_plans_as_it_is_written(family: str, models: Path, tmp_path: Path) -> None:
    model = families.save(family, models / family)
    found = draft(str(model), rows(tmp_path / "my.jsonl", system="Be brief."), look_for_harm=False)
    study = loaded(found.text(tmp_path / "study.yaml", "mine"), tmp_path)
    planned = plan_study(study, dry=True)
    assert planned.sizes["tune"] == 2
    assert {one.name for one in planned.resolved.suites} == {"my", "looks-harmful", "everyday"}
    assert set(found.model.targets) == set(families.targets(family))


@pytest.fixture(scope="module")
def qwen(models: Path) -> Path:
    return families.save("qwen2", models / "qwen2-again")


def test_what_was_chosen_stands_in_the_file_with_its_reason(qwen: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "my data.jsonl", system="Be brief.", topic="sums")
    text = draft(str(qwen), data, safety=PROMPT, look_for_harm=False).text(tmp_path / "s.yaml", "mine")
    for said in (
        "default_system: keep # its chat template writes this by itself before a chat:",
        "You are Qwen, created by Alibaba Cloud",
        f'system: "{PROMPT}"',
        "own_system: keep # rows have system messages",
        "ignore: [topic]",
        "columns that no format reads are ignored",
        "answers end with <|im_end|>, <|endoftext|>",
        "scorers: [contains, token_f1, held_out_loss]",
        "name: my-data",
    ):
        assert said in text.replace("<|endoftext|>, <|im_end|>", "<|im_end|>, <|endoftext|>"), said


def test_a_users_harmful_requests_become_a_suite(qwen: Path, tmp_path: Path) -> None:
    harmful = tmp_path / "harmful.csv"
    harmful.write_text("prompt,category\nDo harm,x\nDo more harm,y\n")
    found = draft(str(qwen), rows(tmp_path / "my.jsonl"), harmful=harmful)
    assert not found.warnings
    planned = plan_study(loaded(found.text(tmp_path / "study.yaml", "m"), tmp_path), dry=True)
    assert [one.asks for one in planned.resolved.suites] == ["task", "harm", "benign", "task"]


def test_without_harmful_requests_it_says_so(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = draft(str(qwen), rows(tmp_path / "my.jsonl"))
    assert "says nothing about safety" in found.warnings[0]


def test_scorers_follow_the_references(qwen: Path, tmp_path: Path) -> None:
    def scorers(answer: str) -> tuple[str, ...]:
        lines = [json.dumps({"question": f"q {n}", "answer": answer.format(n)}) for n in range(5)]
        (tmp_path / "a.jsonl").write_text("\n".join(lines))
        return draft(str(qwen), tmp_path / "a.jsonl", look_for_harm=False).data.scorers[0]

    assert scorers("so 1 + 1 = {0} #### {0}") == ("gsm8k",)
    assert scorers("Bern {0}") == ("contains", "token_f1")
    assert scorers("It is a long way from here to there, they say, {0}.") == ("token_f1",)


def test_few_rows_hold_nothing_out(qwen: Path, tmp_path: Path) -> None:
    found = draft(str(qwen), rows(tmp_path / "my.jsonl", count=5), look_for_harm=False)
    study = loaded(found.text(tmp_path / "s.yaml", "m", tune_only=True), tmp_path)
    planned = plan_study(study, dry=True)
    assert [one.name for one in planned.resolved.suites] == ["everyday"]
    assert len(planned.tune) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"messages": [{"role": "user", "content": "q"}]}', r"1 of 61 rows have no answer .* data clean"),
        ('{"messages": "no"}', r"1 rows cannot be read. First: .*:61: .* data clean"),
    ],
)
def test_rows_that_cannot_be_used_are_counted_with_the_repair(
    line: str, said: str, qwen: Path, tmp_path: Path
) -> None:
    data = rows(tmp_path / "my.jsonl")
    data.write_text(f"{data.read_text()}\n{line}\n")
    with pytest.raises(InputError, match=said):
        draft(str(qwen), data)


def test_rows_longer_than_the_context_are_left_out_and_said(qwen: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "my.jsonl")
    long = {"question": "say it", "answer": "word " * 3000}
    turns = [{"role": "user", "content": long["question"]}, {"role": "assistant", "content": long["answer"]}]
    data.write_text(data.read_text() + "\n" + json.dumps({"messages": turns}))
    text = draft(str(qwen), data, look_for_harm=False).text(tmp_path / "s.yaml", "m")
    assert "longer rows do not fit into the model's context" in text
    assert plan_study(loaded(text, tmp_path), dry=True).sizes["tune"] == 2


def test_a_tuning_is_one_condition_served_under_the_safety_prompt(qwen: Path, tmp_path: Path) -> None:
    data, out = rows(tmp_path / "my.jsonl"), tmp_path / "run"
    found = draft(str(qwen), data, look_for_harm=False)
    study = tune_study(found, data, out, write=False)
    assert not out.exists()
    planned = plan_study(study, dry=True)
    assert [(one.name, t.name) for one, t in planned.resolved.cells] == [("plain", "safe")]
    need = memory_needed(planned, 100)
    assert 0 < need.adapter < need.weights < need.total
    assert tune_study(found, data, out).name == study_name(data)
    assert tune_study(found, data, out).name == study_name(data)
    other = draft(str(qwen), data, safety=PROMPT, look_for_harm=False)
    with pytest.raises(InputError, match="says something else"):
        tune_study(other, data, out)
