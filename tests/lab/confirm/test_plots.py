"""The plots of the lab's page, drawn from a simulated result."""

from __future__ import annotations

from pathlib import Path

import pytest

from puretune.lab.confirm import attempts, load_frozen, result
from tests.lab.confirm.simulated import whole_units


def test_the_plots_show_every_cell_and_only_arms_with_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plots need the extra `plots`")
    from benchmarks.lab_plots import CELLS, draw

    frozen = load_frozen(attempts()[1])
    made = result(frozen, whole_units(frozen, 3))
    rates, graded = draw(made, tmp_path / "lab")
    assert [path.name for path in (rates, graded)] == ["rates.svg", "log-odds.svg"]
    text = rates.read_text()
    for said in (*(cell.replace(">", "&gt;") for cell in CELLS), "as-shipped", "attack success rate, %"):
        assert said in text
    assert "no-ingredients" not in text
    assert "log-odds" in graded.read_text()
    assert rates.stat().st_size < 200_000
    more = result(frozen, [*whole_units(frozen, 3), *whole_units(frozen, 2, "randomised")])
    arms = draw(more, tmp_path / "more")[-1]
    assert arms.name == "arms.svg"
    assert "randomised" in arms.read_text()
    assert "randomised" not in (tmp_path / "more" / "rates.svg").read_text()
    again, *_ = draw(made, tmp_path / "again")
    assert again.read_text() == text
