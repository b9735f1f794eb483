"""Reports: the matrix in a terminal, its finding, and files in Markdown and HTML."""

from puretune.report._conclusion import concluded, difference_lines
from puretune.report._figures import figures
from puretune.report._headline import headline, lead, remarks
from puretune.report._html import html_pages, html_text, write_html
from puretune.report._markdown import markdown_pages, markdown_text, matrix_markdown, write_markdown
from puretune.report._recommendation import recommendation_lines, recommended
from puretune.report._tables import csv_tables, latex_tables, parquet_tables
from puretune.report._terminal import print_finding, print_matrix
from puretune.report._verdict import verdict

__all__ = [
    "concluded",
    "csv_tables",
    "difference_lines",
    "figures",
    "headline",
    "html_pages",
    "html_text",
    "latex_tables",
    "lead",
    "markdown_pages",
    "markdown_text",
    "matrix_markdown",
    "parquet_tables",
    "print_finding",
    "print_matrix",
    "recommendation_lines",
    "recommended",
    "remarks",
    "verdict",
    "write_html",
    "write_markdown",
]
