"""Shared by the tests of the reports."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from puretune.report import print_matrix
from puretune.study import Matrix


@pytest.fixture
def shown() -> Callable[..., str]:
    """Prints a matrix on a console without colour and gives the text."""

    def show(matrix: Matrix, width: int = 120) -> str:
        out = StringIO()
        print_matrix(matrix, Console(file=out, width=width, no_color=True))
        return out.getvalue()

    return show
