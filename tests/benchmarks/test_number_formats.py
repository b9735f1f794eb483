"""Two number formats side by side: what is compared, and that the page says what was found."""

from __future__ import annotations

import json

import pytest
from benchmarks.number_formats import CELLS, FORMATS, MARGIN, MEASURES, Rates, differences
from benchmarks.speed._record import RESULTS, ROOT

from puretune.statistics import equivalence_of_means

PLACES = [" -> ".join(pair) for pair in CELLS.values()]


def model(shift: float, noise: float = 0.0) -> dict[str, Rates]:
    """One model's rates, which bfloat16 changes by ``shift`` in every cell."""
    rates = {dtype: 0.5 + noise + (shift if dtype == "bfloat16" else 0.0) for dtype in FORMATS}
    return {dtype: {m: dict.fromkeys(PLACES, rates[dtype]) for m in MEASURES} for dtype in FORMATS}


@pytest.mark.parametrize(("shifts", "same"), [((0.0, 0.01, -0.01), True), ((0.05, 0.06, 0.04), False)])
def test_a_difference_is_judged_model_by_model(shifts: tuple[float, ...], same: bool) -> None:
    found = differences([model(shift, noise=place / 10) for place, shift in enumerate(shifts)])
    for cells in found.values():
        assert list(cells) == ["mean of all cells", *CELLS]
        for row in cells.values():
            assert row["equivalent"] is same
            assert row["difference"] == pytest.approx(sum(shifts) / 3)


def test_the_interval_is_that_of_two_one_sided_tests() -> None:
    shifts = (0.0, 0.01, -0.02, 0.005)
    row = differences([model(shift) for shift in shifts])["helpfulness"]["CL -> CL"]
    tested = equivalence_of_means(shifts, (0.0,) * 4, MARGIN)
    assert (row["low"], row["high"]) == pytest.approx((tested.difference.low, tested.difference.high))


def test_one_model_proves_nothing() -> None:
    assert not differences([model(0.0)])["helpfulness"]["CL -> CL"]["equivalent"]
    assert differences([model(0.0), model(0.0)])["helpfulness"]["CL -> CL"]["equivalent"]
    assert not differences([model(0.04), model(0.04)])["helpfulness"]["CL -> CL"]["equivalent"]


def test_the_page_shows_the_published_differences() -> None:
    result = json.loads((RESULTS / "number-formats.json").read_text())
    page = (ROOT / "docs" / "performance.md").read_text()
    assert result["differences"] == differences(result["models"])
    for measure, cells in result["differences"].items():
        for name, row in cells.items():
            rates = " | ".join(f"{100 * row[dtype]:.1f}" for dtype in FORMATS)
            assert f"| {measure}, {name} | {rates} | " in page
