"""Reports on a matrix, by file name: puretune's own and those that installed packages offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from puretune.plugins import Plugins
from puretune.store import write_bytes, write_text

if TYPE_CHECKING:
    from puretune.study.matrix.matrix import Matrix

REPORTS = Plugins[Callable[["Matrix"], "str | Mapping[str, str]"]](
    "puretune.reports",
    "report",
    {"report.md": "puretune.report:markdown_text", "report.html": "puretune.report:html_pages"},
)
"""Each makes the text of the file of its name from a matrix, or several texts by file name."""
BESIDE = "transcripts.html"
"""The transcripts of ``report.html``, where they are too large to be in it."""

FORMATS = Plugins[Callable[["Matrix", bool], "Mapping[str, str | bytes]"]](
    "puretune.report_formats",
    "report format",
    {
        "html": "puretune.report:html_pages",
        "md": "puretune.report:markdown_pages",
        "latex": "puretune.report:latex_tables",
        "csv": "puretune.report:csv_tables",
        "parquet": "puretune.report:parquet_tables",
        "figures": "puretune.report:figures",
    },
)
"""Each makes files by name from a matrix; the second argument says to leave out what is harmful."""
USUAL = ("html", "md")


def report_files() -> list[str]:
    """Every file that a report may be."""
    return [*REPORTS.names(), BESIDE]


def report_texts(matrix: Matrix) -> dict[str, str]:
    """Every report on a matrix, by file name. EnvironmentFault if another package's fails."""
    texts: dict[str, str] = {}
    for name in REPORTS.names():
        made = REPORTS.call(name, matrix)
        texts |= {name: made} if isinstance(made, str) else made
    return texts


def format_files(matrix: Matrix, formats: Sequence[str], redact: bool = False) -> dict[str, str | bytes]:
    """The files of these formats by name; InputError for one that is not known."""
    files: dict[str, str | bytes] = {}
    for name in dict.fromkeys(formats):
        files |= FORMATS.call(name, matrix, redact)
    return files


def write_files(files: Mapping[str, str | bytes], directory: Path) -> list[Path]:
    """Write each file, whole or not at all; where they are."""
    for name, content in files.items():
        if isinstance(content, str):
            write_text(directory / name, content)
        else:
            write_bytes(directory / name, content)
    return [directory / name for name in files]
