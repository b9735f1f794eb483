"""Reports on a matrix, by file name: puretune's own and those that installed packages offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from puretune.plugins import Plugins

if TYPE_CHECKING:
    from puretune.study.matrix.matrix import Matrix

REPORTS = Plugins[Callable[["Matrix"], str]](
    "puretune.reports",
    "report",
    {"report.md": "puretune.report:markdown_text", "report.html": "puretune.report:html_text"},
)
"""Each makes the text of the file of its name from a matrix."""


def report_texts(matrix: Matrix) -> dict[str, str]:
    """Every report on a matrix, by file name. EnvironmentFault if another package's fails."""
    return {name: REPORTS.call(name, matrix) for name in REPORTS.names()}
