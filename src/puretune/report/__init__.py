"""Reports: the matrix in a terminal, its finding, and files in Markdown and HTML."""

from puretune.report._conclusion import concluded
from puretune.report._headline import headline, lead, remarks
from puretune.report._html import html_text, write_html
from puretune.report._markdown import markdown_text, matrix_markdown, write_markdown
from puretune.report._recommendation import recommendation_lines, recommended
from puretune.report._terminal import print_finding, print_matrix
from puretune.report._verdict import verdict

__all__ = [
    "concluded",
    "headline",
    "html_text",
    "lead",
    "markdown_text",
    "matrix_markdown",
    "print_finding",
    "print_matrix",
    "recommendation_lines",
    "recommended",
    "remarks",
    "verdict",
    "write_html",
    "write_markdown",
]
