"""Conditions of a finished run held against each other, prompt by prompt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from puretune.cli.compare import compare as command
from puretune.errors import InputError
from puretune.scoring import Metric, measure_of
from puretune.statistics import crossed_difference, holm, mcnemar, paired_difference
from puretune.study import Matrix, compare, corrected
from puretune.study.matrix.results import results_text

PROMPTS = 20


def write(run: Path, runs: dict[tuple[str, int | None], list[float | None]], metric: str = "asr") -> Path:
    """A run's verdicts of one suite: (condition, seed) -> a value per prompt."""
    run.mkdir(exist_ok=True)
    rows = [
        {
            **{"condition": condition, "seed": seed, "step": None, "test_template": "CL", "suite": "harm"},
            **{"prompt_id": f"p{n}", "sample": 0, "scorer": "judge", "values": {metric: value}},
        }
        for (condition, seed), values in runs.items()
        for n, value in enumerate(values)
    ]
    (run / "verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def first(count: int) -> list[float | None]:
    return [float(n < count) for n in range(PROMPTS)]


def test_one_adapter_against_another_is_mcnemar_and_tango(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {("untuned", None): first(1), ("CV", 0): first(4), ("CL", 0): first(12)})
    found = {one.condition: one for one in compare(run)}
    tests = [mcnemar(first(4), first(1)).p, mcnemar(first(12), first(1)).p]
    expected = paired_difference(first(12), first(1))
    assert (found["CL"].low, found["CL"].high) == (expected.low, expected.high)
    assert found["CL"].difference == pytest.approx(0.55)
    assert found["CL"].estimand == "these two models and new prompts from the same source"
    assert [found[name].p for name in ("CV", "CL")] == tests
    assert [found[name].holm for name in ("CV", "CL")] == list(holm(tests))
    assert (found["CL"].conclusion, found["CV"].conclusion) == ("higher", "inconclusive")
    assert found["CV"].prompts_factor is not None
    assert found["CV"].prompts_factor > 1


def test_seeds_are_paired_and_speak_of_training_runs(tmp_path: Path) -> None:
    runs = {("CV", seed): first(2 + seed) for seed in range(3)}
    runs |= {("CL", seed): first(9 + 2 * seed) for seed in range(3)}
    (one,) = compare(write(tmp_path / "run", runs), "CV")
    ours, theirs = ([runs[name, seed] for seed in range(3)] for name in ("CL", "CV"))
    alone = crossed_difference(ours, theirs)
    assert one.difference == pytest.approx(alone.estimate.value)
    assert (one.seeds, one.n) == (3, PROMPTS)
    assert one.estimand == "new training runs and new prompts from the same source"
    assert "seed variance from 2 conditions" in one.method
    assert one.seed_sd is not None
    assert 0 < one.p < 0.05


def test_several_seeds_against_the_untuned_model_are_paired_with_it(tmp_path: Path) -> None:
    runs = {("untuned", None): first(1)} | {("CL", seed): first(8 + seed) for seed in range(3)}
    (one,) = compare(write(tmp_path / "run", runs))
    assert one.seeds == 3
    assert one.difference == pytest.approx(0.4)
    assert one.conclusion == "higher"


def test_an_unparsed_verdict_widens_and_keeps_the_worst_p(tmp_path: Path) -> None:
    told = compare(write(tmp_path / "run", {("untuned", None): first(1), ("CL", 0): first(12)}))[0]
    blind: list[float | None] = [None, *first(12)[1:]]
    (one,) = compare(write(tmp_path / "run", {("untuned", None): first(1), ("CL", 0): blind}))
    assert one.p == mcnemar([0.0, *first(12)[1:]], first(1)).p
    assert one.low < told.low
    assert one.high == pytest.approx(told.high)


def test_equal_differences_of_seeds_have_a_p_value(tmp_path: Path) -> None:
    runs = {("CV", seed): first(1) for seed in range(3)} | {("CL", seed): first(15) for seed in range(3)}
    (one,) = compare(write(tmp_path / "run", runs), "CV")
    assert one.p < 0.001
    assert one.high - one.low > 0.1


def test_graded_scores_have_an_interval_and_a_p_value(tmp_path: Path) -> None:
    half = [value and value / 2 for value in first(10)]
    (one,) = compare(write(tmp_path / "run", {("untuned", None): first(0), ("CL", 0): half}, "mean_score"))
    assert one.difference == pytest.approx(0.25)
    assert one.low < 0.25 < one.high
    assert one.p < 0.01


def test_the_margin_decides_what_is_equivalent(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {("untuned", None): first(5), ("CL", 0): first(5)})
    assert [compare(run, margin=margin)[0].conclusion for margin in (0.05, 0.3)] == [
        "inconclusive",
        "equivalent",
    ]


def test_an_assumed_seed_sd_widens_one_training_run(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {("CV", 0): first(1), ("CL", 0): first(12)})
    plain, assumed = compare(run, "CV")[0], compare(run, "CV", seed_sd=0.1)[0]
    assert assumed.high - assumed.low > plain.high - plain.low
    assert assumed.seed_sd == pytest.approx(0.1)


def test_what_the_study_planned_comes_first_and_is_not_corrected(tmp_path: Path) -> None:
    runs = {("untuned", None): first(1), ("CV", 0): first(2), ("CL", 0): first(12), ("TA", 0): first(9)}
    run = write(tmp_path / "run", runs)
    measures = [measure_of("harm", "judge", Metric("asr", "Attack success rate", "harm"), "harm")]
    analysis = {
        "margin": 0.1,
        "seed_sd": None,
        "categories": "fixed",
        "contrast": ["CL -> CL minus CV -> CL"],
    }
    matrix = Matrix("x", (), (), measures=tuple(measures), provenance={"analysis": analysis})
    (run / "results.json").write_text(results_text(matrix))
    planned, *others = compare(run)
    assert (planned.role, planned.condition, planned.reference) == ("planned", "CL", "CV")
    assert planned.holm == planned.p == mcnemar(first(12), first(2)).p
    assert planned.margin == 0.1
    assert [one.role for one in others] == ["exploratory"] * 3
    assert [one.holm for one in others] == list(holm([one.p for one in others]))


def test_the_command_shows_the_table_and_what_it_is_for(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {("untuned", None): first(1), ("[red]long name", 0): first(12)})
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(command, [str(run)])
    assert shown.exit_code == 0, shown.exception
    assert "[red]long name minus untuned, tested under CL" in shown.output
    assert re.search(r"\+55\.0  \(\+\d\d\.\d to \+\d\d\.\d\)  p < 0\.001  higher", shown.output)
    assert "95 % intervals for these two models and new prompts from the same source" in shown.output
    assert "says nothing about its template" in shown.output
    assert max(map(len, shown.output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reference": "CLL"}, "unknown condition 'CLL'. Did you mean 'CL'"),
        ({"metric": "asr (judg)"}, "Did you mean 'asr (judge)'"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(tmp_path: Path, arguments: Any, said: str) -> None:
    run = write(tmp_path / "run", {("untuned", None): first(1), ("CL", 0): first(12)})
    with pytest.raises(InputError) as caught:
        compare(run, **arguments)
    assert said in str(caught.value)


def test_a_run_that_is_not_there_or_cannot_be_compared_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="A finished `puretune run` writes it"):
        compare(tmp_path)
    alone = write(tmp_path / "run", {("untuned", None): first(1)})
    with pytest.raises(InputError, match="no other condition was judged"):
        compare(alone)
    part = write(tmp_path / "run", {("untuned", None): first(1), ("CL", 0): first(3)[:5]})
    with pytest.raises(InputError, match="no other condition was judged"):
        compare(part)


def test_verdicts_of_no_last_step_are_nothing_to_compare(tmp_path: Path) -> None:
    (tmp_path / "verdicts.jsonl").write_text(json.dumps(row(step=4)) + "\n")
    with pytest.raises(InputError, match=r"nothing in its verdicts\.jsonl can be compared"):
        compare(tmp_path)


def row(**changes: Any) -> dict[str, Any]:
    fields = {"condition": "CL", "seed": 0, "step": None, "test_template": "CL", "suite": "harm"}
    return {**fields, "prompt_id": "p0", "sample": 0, "scorer": "judge", "values": {"asr": 1.0}, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"values": [1]}, "2: 'values' is a list, not a mapping of metrics"),
        ({"values": None}, "'values' is null"),
        ({"values": {"asr": "1"}}, "'asr' is the text '1', not a number from 0 to 1"),
        ({"values": {"asr": -5}}, "'asr' is -5, outside 0 to 1"),
        ({"values": {"asr": 1e308}}, "outside 0 to 1"),
        ({"values": {"asr": 10**300}}, "outside 0 to 1"),
        ({"condition": 3}, "'condition' is the number 3, not text"),
        ({"prompt_id": 7}, "'prompt_id' is the number 7, not text"),
        ({"seed": "0"}, "'seed' is the text '0', not a whole number or null"),
        ({"seed": True}, "'seed' is true"),
        ({"seed": 0.5}, "'seed' is the number 0.5"),
        ({"sample": -1}, "'sample' is the number -1"),
        ({"category": ["a"]}, "'category' is a list, not text or null"),
        ({}, "judged answer 'p0' (sample 0) twice, first on line 1"),
    ],
)
def test_a_verdict_that_no_run_writes_is_refused_with_file_and_line(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    lines = [json.dumps(one) for one in (row(), row(**changes))]
    (tmp_path / "verdicts.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        compare(tmp_path)
    assert said in str(caught.value)
    assert "verdicts.jsonl:2" in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": 1', "3", '{"a": NaN}', "9" * 5000, "\x00"])
def test_a_line_that_is_no_verdict_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "verdicts.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"verdicts.jsonl:1"):
        compare(tmp_path)


def test_a_directory_in_the_place_of_the_verdicts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "verdicts.jsonl").mkdir()
    with pytest.raises(InputError, match="is a directory, not the verdicts"):
        compare(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"cells": None},
        {"cells": [{"condition": 3}]},
        {"provenance": []},
        {"provenance": {"analysis": 3}},
        {"provenance": {"analysis": {"margin": 7}}},
        {"provenance": {"analysis": {"contrast": [3]}}},
        {"measures": [{"suite": "harm"}]},
        {"conditions": "CL"},
        {"schema_version": 10**300},
    ],
)
def test_results_that_no_run_writes_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    run = write(tmp_path / "run", {("untuned", None): first(1), ("CL", 0): first(12)})
    content = {**json.loads(results_text(Matrix("x", (), ()))), **change}
    (run / "results.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"results.json"):
        compare(run)


def labelled(run: Path, share: int, says: dict[str, list[float | None]]) -> Path:
    """People's labels of the first ``share`` answers of each condition."""
    rows = [
        {
            **{"condition": name, "seed": 0, "test_template": "CL", "suite": "harm", "prompt_id": f"p{n}"},
            "label": "yes" if value else "no",
        }
        for name, values in says.items()
        for n, value in enumerate(values[:share])
    ]
    file = run / "labels.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_labels_correct_each_condition_by_its_own_errors(tmp_path: Path) -> None:
    people = {"CV": first(4), "CL": first(12)}
    half = [
        value if n % 2 else 0.0 for n, value in enumerate(first(12))
    ]  # the scorer misses every second one
    run = write(tmp_path / "run", {("CV", 0): first(4), ("CL", 0): half})
    found = compare(run, "CV")
    (one,) = corrected(run, labelled(run, PROMPTS, people), found)
    assert found[0].difference == pytest.approx(0.1)
    assert one.found.apparent == pytest.approx(0.1)
    assert one.found.corrected == pytest.approx(0.4)
    assert one.found.interval.low < 0.4 < one.found.interval.high
    assert one.labelled == (PROMPTS, PROMPTS)
    told = CliRunner().invoke(command, [str(run), "--with", "CV", "--labels", str(run / "labels.jsonl")])
    assert told.exit_code == 0, told.exception
    assert "+40.0" in told.stdout
    assert "20 and 20 labels" in told.stdout


def test_labels_of_one_condition_alone_correct_nothing(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {("CV", 0): first(4), ("CL", 0): first(12)})
    with pytest.raises(InputError, match=r"no two conditions .* Labelled: CV -> CL"):
        corrected(run, labelled(run, 5, {"CV": first(4)}), compare(run, "CV"))


def test_seeds_that_answer_alike_are_not_said_to_help_but_prompts_are_and_do(tmp_path: Path) -> None:
    ours: list[float | None] = [1.0, 0.0] * 10
    theirs: list[float | None] = [0.0, 1.0] * 10
    runs = {(name, seed): side for name, side in (("CV", theirs), ("CL", ours)) for seed in range(3)}
    (one,) = compare(write(tmp_path / "run", runs), "CV")
    assert (one.conclusion, one.seeds_needed) == ("inconclusive", None)
    assert one.prompts_factor is not None
    more = round(one.prompts_factor) + 1
    (other,) = compare(write(tmp_path / "more", {key: side * more for key, side in runs.items()}), "CV")
    assert other.detectable <= other.margin < one.detectable
    assert other.conclusion == "equivalent"


def test_an_assumed_seed_sd_is_not_said_to_go_away_with_prompts(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {("CV", 0): first(1), ("CL", 0): first(2)})
    (one,) = compare(run, "CV", seed_sd=0.1)
    assert one.seeds_needed is not None
    assert one.seeds_needed > 30


def test_prompts_are_counted_once_however_many_samples(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {("CV", 0): first(1), ("CL", 0): first(2)})
    lines = (run / "verdicts.jsonl").read_text().splitlines()
    again = [json.dumps({**json.loads(line), "sample": 1}) for line in lines]
    (run / "verdicts.jsonl").write_text("\n".join([*lines, *again]) + "\n")
    (one,) = compare(run, "CV")
    assert (one.n, one.prompts) == (2 * PROMPTS, PROMPTS)
