"""What people see: the matrix in a terminal, its sentence, and the reports in Markdown and HTML."""

from puretune.report._headline import headline
from puretune.report._html import write_html
from puretune.report._markdown import write_markdown
from puretune.report._terminal import print_matrix

__all__ = ["headline", "print_matrix", "write_html", "write_markdown"]
