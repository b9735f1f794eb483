"""The pictures of docs/gallery.md: the demo's report in headless Chromium.

puretune demo
python -m benchmarks.report_screenshots runs/demo
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.report_browser import FLAGS
from PIL import Image
from playwright.sync_api import sync_playwright

from puretune.report import html_pages
from puretune.study import load_results

PLACE = Path(__file__).parent.parent / "docs" / "gallery"
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
ANSWER = "#transcripts?condition=chat:llama&template=chat:llama&suite=lab-doctor&metric=lab-doctor/accuracy"


def main(run: Path) -> None:
    """The first screen, the matrix, the frontier and an answer; those that the page shows stay."""
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as started:
        file = Path(name) / "report.html"
        file.write_text(html_pages(load_results(run))["report.html"], "utf-8")
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for device, (width, height) in WIDTHS.items():
            for scheme in ("light", "dark"):
                size = {"width": width, "height": height}
                page = browser.new_page(viewport=size, color_scheme=scheme)
                page.goto(file.as_uri())
                page.screenshot(path=PLACE / f"verdict-{device}-{scheme}.png")
                _parts(page, f"{device}-{scheme}", file)
        browser.close()
    shown = (PLACE.parent / "gallery.md").read_text("utf-8")
    for picture in PLACE.glob("*.png"):
        if picture.name in shown:
            Image.open(picture).quantize(64).save(picture, optimize=True)
        else:
            picture.unlink()


def _parts(page: Any, name: str, file: Path) -> None:
    page.evaluate("document.querySelector('#matrix').scrollIntoView()")
    page.screenshot(path=PLACE / f"matrix-{name}.png")
    page.evaluate("document.querySelector('#frontier').scrollIntoView()")
    page.screenshot(path=PLACE / f"frontier-{name}.png")
    page.goto(file.as_uri() + ANSWER)
    page.wait_for_selector("#transcripts[data-ready]")
    page.click("#answer-2")
    page.wait_for_selector("#answer-title")
    page.evaluate("document.querySelector('#transcripts').scrollIntoView()")
    page.screenshot(path=PLACE / f"answers-{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
