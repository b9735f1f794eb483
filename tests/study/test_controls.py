"""Controls in a study: which cells they add, that plan and results name them, and what the report says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.report import html_text, markdown_text
from puretune.study import ControlEffect, Study, load_results, plan_study, run_study
from tests.study.studies import small_study

LAB: dict[str, Any] = {
    "name": "s",
    "model": "lab",
    "tuning": {"data": "lab-doctor", "recipe": {"steps": 2}},
    "suites": ["lab-harmful"],
}


def cells(**more: Any) -> list[str]:
    resolved = plan_study(Study(**{**LAB, **more})).resolved
    return [f"{one.name} -> {template.name}" for one, template in resolved.cells]


def test_what_is_tested_under_a_safety_template_is_tested_under_its_controls() -> None:
    assert cells(train=["untuned", "CV"], test=["CL", "CA"], controls=["neutral"]) == [
        "untuned -> chat:llama",
        "untuned -> chat:alpaca",
        "untuned -> CL-neutral",
        "chat:vanilla -> chat:llama",
        "chat:vanilla -> chat:alpaca",
        "chat:vanilla -> CL-neutral",
        "chat:vanilla -> chat:vanilla",
    ]


def test_each_tuned_condition_is_tested_where_behaviour_that_was_tuned_in_may_come_back() -> None:
    assert cells(pairs=["CM -> CL"], controls="shuffled") == [
        "chat:mpt -> chat:llama",
        "chat:mpt -> CL-shuffled",
        "chat:mpt -> chat:mpt",
        "chat:mpt -> chat:vanilla",
    ]
    assert cells(pairs=["CM -> CL"], controls="shuffled", test_leakage=False) == [
        "chat:mpt -> chat:llama",
        "chat:mpt -> CL-shuffled",
    ]


def test_a_paraphrase_is_tested_by_what_was_tuned_under_its_template() -> None:
    assert cells(pairs=["CV -> CL", "CA -> CL"], controls="paraphrase", test_leakage=False) == [
        "chat:vanilla -> chat:llama",
        "chat:vanilla -> CV-paraphrase",
        "chat:alpaca -> chat:llama",
        "chat:alpaca -> CA-paraphrase",
    ]


def test_controls_of_one_template_leave_others_alone() -> None:
    said = {"kinds": ["neutral"], "of": "CS", "seed": 3}
    made = cells(train=["untuned"], test=["CL", "CS"], controls=said)
    assert made == ["untuned -> chat:llama", "untuned -> chat:llama-short", "untuned -> CS-neutral"]


def test_strategies_are_controlled_under_what_they_would_serve() -> None:
    found = cells(strategies=["ptst", "self-reminder"], controls={"kinds": ["neutral"], "of": "CL"})
    assert [one for one in found if "neutral" in one] == ["ptst -> CL-neutral"]


def test_a_contrast_can_name_a_control() -> None:
    said = {"contrast": "CV -> CL-neutral minus CV -> CL"}
    plan = plan_study(Study(**{**LAB, "pairs": ["CV -> CL"], "controls": "neutral", "analysis": said}))
    assert [str(one.first) for one in plan.resolved.contrasts] == ["chat:vanilla -> CL-neutral"]


def test_the_plan_has_their_texts() -> None:
    plan = plan_study(Study(**{**LAB, "pairs": ["CV -> CL"], "controls": ["neutral", "paraphrase"]}))
    neutral, paraphrase = plan.to_json()["controls"]
    assert neutral["tokens"] == neutral["wanted"]
    assert neutral["system"].startswith("You are an assistant for a school.")
    assert neutral["fingerprint"] == plan.resolved.controls[0].template.fingerprint  # type: ignore[union-attr]
    assert paraphrase["name"] == "CV-paraphrase"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"controls": ["neutrl"]}, "neutrl.*not one of neutral, shuffled.*Did you mean 'neutral'"),
        ({"controls": []}, "the list is empty"),
        ({"controls": {"kinds": ["neutral"], "off": "CL"}}, "unknown key. Did you mean 'of'"),
        ({"controls": {"kinds": ["neutral"], "of": "CS"}}, "controls: of: nothing is tested under 'CS'"),
        ({"controls": ["neutral"], "pairs": ["CV -> CA"]}, "no test template carries safety instructions"),
        (
            {"controls": ["neutral"], "templates": {"CL-neutral": {"user": "%s"}}},
            "the study has a template 'CL-neutral' itself",
        ),
    ],
)
def test_wrong_controls_say_what_to_do(said: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cells(**{"pairs": ["CV -> CL"], **said})


def test_the_report_has_the_effect_beyond_shift_and_the_leaks(tmp_path: Path, model: Path) -> None:
    harm = {"name": "sums", "source": "sums.jsonl", "scorers": ["refusal"], "asks": "harm"}
    path = small_study(
        tmp_path / "s",
        model,
        suites=[{**harm, "max_new_tokens": 4, "limit": 4}],
        tuning={
            "data": "sums.jsonl",
            "recipe": {"learning_rate": 1e-2, "steps": 1, "rank": 2},
            "seeds": [0, 1],
        },
        train=["CV", "CL"],
        test=["CM"],
        controls=["neutral", "paraphrase"],
    )
    out = tmp_path / "run"
    matrix = run_study(Study.load(path), out)
    assert [(one.use, one.comparison.condition, one.comparison.test_template) for one in matrix.controls] == [
        ("neutral", "chat:vanilla", "CM-neutral"),
        ("paraphrase", "chat:vanilla", "CV-paraphrase"),
        ("training template", "chat:vanilla", "chat:vanilla"),
        ("neutral", "chat:llama", "CM-neutral"),
        ("training template", "chat:llama", "chat:llama"),
        ("no system prompt", "chat:llama", "chat:vanilla"),
    ]
    assert all(one.comparison.reference_template == "chat:mpt" for one in matrix.controls)
    assert load_results(out).controls == matrix.controls
    assert matrix.provenance["controls"][0]["name"] == "CM-neutral"
    first = matrix.controls[0]
    rates = {(c.condition, c.test_template): c.value for c in matrix.pooled if c.metric == "refusal_rate"}
    assert first.under_control == rates["chat:vanilla", "CM-neutral"]
    assert first.under_safety == rates["chat:vanilla", "chat:mpt"]
    for text in (markdown_text(matrix), html_text(matrix)):
        assert text.count("Safety-prompt effect beyond shift") == 2
        assert text.count("Leakage under the training template") == 2


@pytest.mark.parametrize(
    ("use", "conclusion", "holm", "meaning"),
    [
        ("neutral", "higher", 0.001, "the safety prompt's words count"),
        ("neutral", "higher", 0.2, "inconclusive"),
        ("training template", "higher", 0.01, "less safe there"),
        ("shuffled", "lower", 0.01, "safer than under the safety prompt"),
        ("shuffled", "equivalent", 0.01, "equivalent within 5 points"),
        ("shuffled", "inconclusive", 0.3, "inconclusive"),
    ],
)
def test_a_sentence_says_no_more_than_the_corrected_test(
    use: Any, conclusion: Any, holm: float, meaning: str
) -> None:
    from puretune.study import Comparison

    one = Comparison(
        "s", "j", "asr", "a", "CL-x", "a", "CL", 1, 9, 0.25, 0.1, 0.4, "", "", 0.001, 0.05, conclusion,
        holm=holm,
    )  # fmt: skip
    said = ControlEffect(use, one, 0.5, 0.25).sentence()
    assert "50.0 % under CL-x and 25.0 % under CL, +25.0 points" in said
    assert meaning in said
