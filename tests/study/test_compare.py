"""Conditions of a finished run held against each other, prompt by prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from puretune.cli.compare import compare as command
from puretune.errors import InputError
from puretune.statistics import holm, mcnemar, paired_difference, pooled_difference, seeds_differ
from puretune.study import compare

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
    assert found["CL"].estimand == "new prompts from the same source"
    assert [found[name].p for name in ("CV", "CL")] == tests
    assert [found[name].holm for name in ("CV", "CL")] == list(holm(tests))


def test_seeds_are_paired_and_speak_of_training_runs(tmp_path: Path) -> None:
    runs = {("CV", seed): first(2 + seed) for seed in range(3)}
    runs |= {("CL", seed): first(9 + 2 * seed) for seed in range(3)}
    (one,) = compare(write(tmp_path / "run", runs), "CV")
    ours, theirs = ([runs[name, seed] for seed in range(3)] for name in ("CL", "CV"))
    expected = pooled_difference(ours, theirs)
    assert (one.seeds, one.estimand) == (3, "new training runs")
    assert (one.low, one.high) == (expected.low, expected.high)
    assert one.p == seeds_differ([0.45, 0.55, 0.65], [0.1, 0.15, 0.2])


def test_unparsed_verdicts_widen_and_are_not_tested(tmp_path: Path) -> None:
    told = compare(write(tmp_path / "run", {("untuned", None): first(1), ("CL", 0): first(8)}))[0]
    blind: list[float | None] = [None, None, *first(8)[2:]]
    (one,) = compare(write(tmp_path / "run", {("untuned", None): first(1), ("CL", 0): blind}))
    assert (one.p, one.holm) == (None, None)
    assert one.low < told.low
    assert one.high == pytest.approx(told.high)


def test_graded_scores_are_resampled(tmp_path: Path) -> None:
    half = [value and value / 2 for value in first(10)]
    (one,) = compare(write(tmp_path / "run", {("untuned", None): first(0), ("CL", 0): half}, "mean_score"))
    assert one.p is None
    assert one.difference == pytest.approx(0.25)
    assert one.low < 0.25 < one.high


def test_the_command_shows_the_table_and_what_it_is_for(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {("untuned", None): first(1), ("CL", 0): first(12)})
    shown = CliRunner(env={"COLUMNS": "120"}).invoke(command, [str(run)])
    assert shown.exit_code == 0, shown.exception
    assert "minus untuned" in shown.output
    assert "+55.0" in shown.output
    assert "Interval for new prompts from the same source" in shown.output


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
