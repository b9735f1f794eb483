"""Reports: the matrix in a terminal, its finding, and files in Markdown and HTML."""

from puretune.report._headline import headline, lead
from puretune.report._html import html_text, write_html
from puretune.report._markdown import markdown_text, matrix_markdown, write_markdown
from puretune.report._recommendation import recommendation_lines, recommended
from puretune.report._terminal import print_matrix

__all__ = [
    "headline",
    "html_text",
    "lead",
    "markdown_text",
    "matrix_markdown",
    "print_matrix",
    "recommendation_lines",
    "recommended",
    "write_html",
    "write_markdown",
]
