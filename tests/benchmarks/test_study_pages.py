"""Pages of studies: figures between the marks, the words around them untouched."""

from __future__ import annotations

import pytest

from benchmarks import study_pages as pages
from puretune.study import study_names
from tests.report.matrices import paper_like, square


def test_the_words_around_the_figures_stay() -> None:
    page = f"# A\n\nmine\n\n{pages.BEGIN}\nold\n{pages.END}\n\nmine too\n"
    made = pages.with_figures(page, "new")
    assert made == f"# A\n\nmine\n\n{pages.BEGIN}\n\nnew\n\n{pages.END}\n\nmine too\n"
    assert pages.with_figures(made, "new") == made
    with pytest.raises(ValueError, match="has no"):
        pages.with_figures("nothing", "new")


def test_every_cell_has_a_row_with_intervals() -> None:
    matrix = square(paper_like)
    rows = [line for line in pages.cells(matrix).splitlines() if " -> " in line][1:]
    assert len(rows) == len({(one.condition, one.test_template) for one in matrix.pooled})
    assert all(" to " in row for row in rows)


def test_a_study_that_was_not_run_says_what_it_would_take() -> None:
    told = pages.not_run("paper/llama-gsm8k")
    assert "| adapters to tune (conditions x seeds) | 15 (5 x 3) |" in told
    assert "| models under test templates | 80 |" in told  # 15 tuned and one untuned, five templates
    assert "| judging, at the paper's $5 for 400 | $1,020 |" in told
    assert "18.08" in told
    assert "18.08" not in pages.not_run("paper/gsm-danger")


@pytest.mark.parametrize("name", [name for name in study_names() if name.startswith("paper/")])
def test_every_study_of_the_paper_has_its_page(name: str) -> None:
    assert pages.BEGIN in pages.NamedStudy(name).page.read_text()
