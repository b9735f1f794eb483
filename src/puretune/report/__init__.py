"""Reports: the matrix in a terminal, its finding, and files in Markdown and HTML."""

from puretune.report._headline import headline
from puretune.report._html import html_text, write_html
from puretune.report._markdown import markdown_text, write_markdown
from puretune.report._terminal import print_matrix

REPORTS = {"report.md": markdown_text, "report.html": html_text}
"""What a run directory holds besides its results: by file name, what makes the text from a matrix."""

__all__ = [
    "REPORTS",
    "headline",
    "html_text",
    "markdown_text",
    "print_matrix",
    "write_html",
    "write_markdown",
]
