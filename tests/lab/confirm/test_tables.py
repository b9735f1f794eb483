"""The tables of the lab's page are those of the published results."""

from __future__ import annotations

import pytest
from benchmarks.lab_tables import ROOT, marks, page_of, tables, with_tables

from puretune.lab.confirm import attempts, load_frozen, load_result


@pytest.mark.parametrize("attempt", sorted(attempts()))
def test_the_page_shows_what_the_published_result_says(attempt: int) -> None:
    published = ROOT / "benchmarks" / "results" / f"lab-confirm-attempt-{attempt}.json"
    text = tables(load_result(published, load_frozen(attempts()[attempt])))
    page = page_of(attempt).read_text()
    assert with_tables(page, attempt, text) == page


def test_a_page_without_the_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="tables of attempt 7"):
        with_tables("# The lab\n", 7, "")
    begin, end = marks(7)
    assert with_tables(f"a {begin} old {end} b", 7, "new") == f"a {begin}\n\nnew\n\n{end} b"
