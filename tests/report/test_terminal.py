"""The matrix in a terminal: complete, marked, explained, and legible when narrow or without colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from puretune.report import print_matrix
from tests.report.matrices import PAPER, matrix, one_cell, pairs, paper_like, square

Show = Callable[..., str]


def test_every_cell_stands_with_its_interval(shown: Show) -> None:
    cells = [
        one_cell(train, test, "lab-harmful", "asr", (7 * i + j) / 100)
        for i, train in enumerate((None, *PAPER))
        for j, test in enumerate(PAPER)
    ]
    text = shown(matrix(cells))
    for c in cells:
        assert f"{100 * (c.value or 0):.1f}" in text
        assert f"{100 * (c.low or 0):.1f}–{100 * (c.high or 0):.1f}" in text


def test_untuned_comes_first_then_the_studys_order(shown: Show) -> None:
    cells = [
        one_cell(t, "chat:llama", "lab-harmful", "asr", asr)
        for t, asr in (("chat:llama", 0.1), ("text:alpaca", 0.2), (None, 0.1))
    ]
    text = shown(matrix(cells))
    assert text.index("untuned") < text.index("\nchat:llama") < text.index("\ntext:alpaca")


def test_a_constant_matrix_is_one_line(shown: Show) -> None:
    tested = [("chat:llama", "chat:llama"), (None, "chat:llama"), (None, "chat:vanilla")]
    text = shown(matrix([one_cell(*pair, "lab-harmful", "asr", 0.0) for pair in tested]))
    assert "0.0 % in all 3 cells (95 % intervals within 0.0 to" in text
    assert "train \\ test" not in text
    differs = one_cell("chat:vanilla", "chat:llama", "lab-harmful", "asr", 0.01)
    text = shown(matrix([*(one_cell(*pair, "lab-harmful", "asr", 0.0) for pair in tested), differs]))
    assert "train \\ test" in text


def test_marks_are_shown_and_explained(shown: Show) -> None:
    text = shown(
        pairs({("chat:llama", "chat:llama"): (0.34, 0.6), ("chat:vanilla", "chat:llama"): (0.04, 0.5)})
    )
    assert "34.0=" in text
    assert "4.0*" in text
    assert "= the same template on both sides" in text
    assert "* tuned without a safety prompt, tested with one (PTST)" in text


def test_alpacas_instruction_is_no_safety_prompt(shown: Show) -> None:
    text = shown(
        pairs({("chat:vanilla", "chat:alpaca"): (0.34, 0.6), ("chat:alpaca", "chat:llama"): (0.2, 0.5)})
    )
    assert "34.0*" not in text
    assert "20.0*" in text


def test_a_missing_cell_is_a_dash_and_an_unparsed_one_says_so(shown: Show) -> None:
    cells = [
        one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", None),
        one_cell("chat:vanilla", "chat:vanilla", "lab-harmful", "asr", 0.5),
    ]
    text = shown(matrix(cells))
    assert "n/a=" in text
    assert text.count("–") == 2 + 1  # two places that were not measured, one interval


def test_the_caption_names_n_seeds_and_what_the_interval_is_for(shown: Show) -> None:
    text = " ".join(shown(square(paper_like)).split())
    assert "for this adapter and new prompts from the same source (n = 100 answers per cell, 1 seed)" in text
    text = " ".join(shown(square(paper_like, seeds=(0, 1, 2))).split())
    assert (
        "for new training runs and new prompts from the same source (n = 300 answers per cell, 3 seeds)"
        in text
    )


def test_truncated_incoherent_and_unparsed_answers_are_counted(shown: Show) -> None:
    counts = {"successes": 3, "truncated": 2, "incoherent": 4, "unparsed": 1}
    text = shown(
        matrix([one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", 0.03, counts=counts)]), 160
    )
    assert "Of 100 answers: 2 truncated, 4 incoherent, 1 unparsed." in text
    assert "Of 100" not in shown(square(paper_like))


def test_zero_answers_are_shown_as_no_value(shown: Show) -> None:
    text = shown(matrix([one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", None, n=0)]))
    assert "n/a=" in text
    assert "n = 0 answers per cell" in text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_console_and_no_value_is_lost(shown: Show, width: int) -> None:
    templates = (*PAPER, "chat:mpt")
    text = shown(square(paper_like, templates=templates), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert text.count("34.0=") == len(templates)


def test_a_narrow_console_uses_short_names_and_explains_them(shown: Show) -> None:
    narrow, wide = (shown(square(paper_like), width) for width in (80, 120))
    assert "CL chat:llama" in narrow
    assert "CL" not in wide


def test_long_names_of_users_fold(shown: Show) -> None:
    long = "a condition with an uncommonly long name that goes on and on until it fills the line"
    cells = [one_cell(long, test, "lab-harmful", "asr", 0.5) for test in (long, *PAPER)]
    cells.append(one_cell(None, "chat:llama", "lab-harmful", "asr", 0.0))
    text = shown(matrix(cells), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("50.0") == len(cells) - 1


def test_names_are_not_read_as_markup(shown: Show) -> None:
    cells = [one_cell("[red]mine[/]", "chat:llama", "[bold]suite", "asr", 0.5)]
    text = shown(replace(matrix(cells), name="[blue]x"))
    assert "[red]mine[/]" in text
    assert "[bold]suite" in text


def test_colour_is_used_where_there_is_some_and_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    def codes() -> str:
        out = StringIO()
        print_matrix(square(paper_like), Console(file=out, force_terminal=True, color_system="truecolor"))
        return out.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "48;2;" in codes()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "48;2;" not in codes()


def test_metrics_of_second_rank_are_named_only(shown: Show) -> None:
    suites = (("lab-maths", "exact_match"), ("lab-maths", "exact_match_flexible"))
    text = shown(square(paper_like, suites=suites))
    assert "Also in the report: exact_match_flexible (gsm8k) on lab-maths." in text
    assert text.count("train \\ test") == 1


def test_a_matrix_without_cells_says_so(shown: Show) -> None:
    assert "no cell was measured" in shown(matrix([]))
