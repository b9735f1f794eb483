"""The README's matrix: made by an example from a run, and in the page."""

from __future__ import annotations

import runpy
from pathlib import Path

from puretune.report import headline
from tests.report.matrices import paper_like, square

ROOT = Path(__file__).resolve().parent.parent


def test_the_example_writes_every_cell_and_the_finding() -> None:
    example, matrix = runpy.run_path(str(ROOT / "examples" / "readme_matrix.py")), square(paper_like)
    block = "\n\n".join(example["paragraphs"](matrix))
    assert headline(matrix) in " ".join(block.split())
    assert "| CL | 15 (9-24) | 15 (9-24) | 15 (9-24) | 15 (9-24) | **34** (25-44) |" in block
    assert "*4* (1-10) |" in block
    assert block.count("| untuned |") == 2
    assert "Intervals are for this adapter and new prompts from the same source." in " ".join(block.split())


def test_the_page_has_a_matrix_and_names_what_made_it() -> None:
    _, _, rest = (ROOT / "README.md").read_text().partition("<!-- matrix -->")
    block, mark, _ = rest.partition("<!-- end of matrix -->")
    assert mark
    assert block.count("| tuned \\ tested | TV | TA | CV | CA | CL |") == 2
    assert "examples/readme_matrix.py" in block
