"""The README's picture: drawn by an example from a run of the demo, and in the page."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree

from puretune.report import lead
from tests.report.matrices import paper_like, square

ROOT = Path(__file__).resolve().parent.parent


def test_the_picture_has_a_square_for_every_cell_and_the_block_the_finding() -> None:
    example, matrix = runpy.run_path(str(ROOT / "examples" / "demo_picture.py")), square(paper_like)
    drawn = example["picture"](matrix)
    texts = [element.text for element in ElementTree.fromstring(drawn).iter() if element.tag.endswith("text")]
    assert {"34", "4"} <= set(texts)
    assert {"(25 to 44)", "(1 to 10)", "PTST", "same template"} <= set(texts)
    assert lead(matrix) in " ".join(example["block"](matrix).split())


def test_the_page_has_a_picture_and_names_what_made_it() -> None:
    page = (ROOT / "README.md").read_text()
    _, _, rest = page.partition("<!-- picture -->")
    block, mark, _ = rest.partition("<!-- end of picture -->")
    assert mark
    assert "](docs/demo.svg)" in block
    assert "examples/demo_picture.py" in block
    ElementTree.parse(ROOT / "docs" / "demo.svg")
