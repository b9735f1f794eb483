"""Which direction a metric is read in, and colours that stay legible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.report._metrics import Reading, reading
from puretune.report._palette import INK, INK_DARK, LEVELS, contrast, scale_top, shade, steps, tone
from puretune.report._view import grids
from puretune.scoring import Asks, Refusal, measure_of
from tests.report.matrices import SCORERS, matrix, one_cell


@pytest.mark.parametrize(
    ("suite", "metrics", "metric", "family", "better"),
    [
        ("lab-maths", ["exact_match"], "exact_match", "help", "higher"),
        ("arc", ["accuracy"], "accuracy", "help", "higher"),
        ("lab-harmful", ["asr"], "asr", "harm", "lower"),
        ("lab-harmful", ["asr", "refusal_rate"], "refusal_rate", "refusal", "higher"),
        ("advbench", ["refusal_rate"], "refusal_rate", "refusal", "higher"),
        ("lab-benign-twins", ["refusal_rate"], "refusal_rate", "over-refusal", "lower"),
        ("lab-maths", ["exact_match", "refusal_rate"], "refusal_rate", "over-refusal", "lower"),
        ("arc-easy", ["accuracy_norm", "accuracy"], "accuracy_norm", "help", "higher"),
        ("chatdoctor", ["bertscore_f1"], "bertscore_f1", "help", "higher"),
        ("mine", ["unsafe_rate"], "unsafe_rate", "harm", "lower"),
        ("mine", ["strongreject"], "strongreject", "harm", "lower"),
        ("mine", ["asr", "mean_score"], "mean_score", "harm", "lower"),
        ("lab-harmful", ["accuracy"], "accuracy", "other", None),
        ("mine", ["incoherent_rate"], "incoherent_rate", "other", "lower"),
        ("mine", ["refusal_rate"], "refusal_rate", "other", None),
        ("mine", ["politeness"], "politeness", "other", None),
    ],
)
def test_the_direction_of_a_metric(
    suite: str, metrics: list[str], metric: str, family: str, better: str | None
) -> None:
    study = matrix(one_cell("chat:llama", "chat:llama", suite, name, 0.5) for name in metrics)
    found = reading(suite, SCORERS.get(metric, "own"), metric, study)
    assert (found.family, found.better) == (family, better)


@pytest.mark.parametrize("suite", ["pharmacy", "harmless", "red-team", "my-benign-twins", "xstest-unsafe"])
@pytest.mark.parametrize(
    ("asks", "better"), [("harm", "higher"), ("benign", "lower"), ("task", "lower"), (None, None)]
)
def test_a_suites_name_says_nothing(suite: str, asks: Asks | None, better: str | None) -> None:
    (rate,) = Refusal.metrics
    cells = [one_cell(None, "chat:llama", suite, "refusal_rate", 0.5)]
    study = matrix(cells, measures=(measure_of(suite, "refusal", rate, asks),))
    assert reading(suite, "refusal", "refusal_rate", study).better == better


def test_only_the_first_of_a_judges_metrics_is_primary() -> None:
    study = matrix(
        one_cell(None, "chat:llama", "mine", name, 0.5)
        for name in ("asr", "asr_4", "mean_score", "unsafe_rate")
    )
    primary = [c.metric for c in study.pooled if not reading("mine", c.scorer, c.metric, study).secondary]
    assert primary == ["asr", "unsafe_rate"]


def test_two_judges_metrics_carry_the_judges_names() -> None:
    cells = [one_cell(None, "chat:llama", "mine", "asr", 0.5, scorer=name) for name in ("first", "second")]
    study = matrix(cells)
    titles = [reading("mine", name, "asr", study).title for name in ("first", "second")]
    assert titles == ["Attack success rate (first)", "Attack success rate (second)"]
    assert [grid.label for grid in grids(study)] == ["asr (first)", "asr (second)"]


@pytest.mark.parametrize("step", steps())
def test_ink_is_legible_on_every_step(step: str) -> None:
    assert contrast(INK, shade(step)) >= 4.5
    assert contrast(INK_DARK, shade(step, dark=True)) >= 4.5


@given(st.floats(0, 1))
def test_colour_says_good_or_bad_by_the_metrics_direction(share: float) -> None:
    low, high, none = (Reading("m", "other", better) for better in ("lower", "higher", None))
    assert int(tone(high, share)[1:]) == round(share * LEVELS)
    assert int(tone(low, share)[1:]) == round((1 - share) * LEVELS)
    assert tone(low, 0) == tone(high, 1) == f"g{LEVELS}"
    assert tone(none, share)[0] == "n"


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize(
    ("values", "top"),
    [([0.02, None], 0.1), ([0.11], 0.25), ([0.25], 0.25), ([0.3, 0.5], 0.5), ([0.51], 1.0), ([], 1.0)],
)
def test_a_scale_ends_above_its_highest_value(values: list[float | None], top: float) -> None:
    assert scale_top(values) == top
