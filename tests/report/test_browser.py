"""The page in a real browser: nothing that a model wrote runs, every answer is found, nothing overlaps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.report import _html as html_module
from puretune.report import html_pages
from tests.report.run_files import written_run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = [
    "</script><script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    "<!--<script>",
    "'\"><svg onload=alert(1)>{{ 7 * 7 }}${7 * 7}",
    "\x1b[31mred\x00\u202egnp.exe\ud800",
    "javascript:alert(1)",
]
UNFOLD = "all => all.forEach(one => { one.open = true })"
OVERLAPS = """() => {
  const parents = "body, main, header, section, figure, .figures, .maps, .contrast, form, .browser, tr";
  const before = (a, b, [start, end]) => a[start] < b[end] - 1 && b[start] < a[end] - 1;
  const within = (a, b) => before(a, b, ["left", "right"]) && before(a, b, ["top", "bottom"]);
  const found = [];
  for (const parent of document.querySelectorAll(parents)) {
    const boxes = [...parent.children].filter((one) => one.className !== "unseen" && one.tagName !== "SCRIPT")
      .map((one) => [one, one.getBoundingClientRect()]).filter(([, box]) => box.width > 0 && box.height > 0);
    boxes.forEach(([a, one], i) => boxes.slice(i + 1).forEach(([b, other]) => {
      if (within(one, other)) found.push(`${a.tagName}.${a.className} ${b.tagName}.${b.className}`);
    }));
  }
  return found;
}"""
"""Children of one parent whose boxes overlap, by their tags and classes."""
Page = Any
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page_of(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the report of a run; fails at the end if the console had anything to say."""
    said: list[str] = []
    contexts = []

    def show(
        run: Path, name: str = "report.html", fragment: str = "", width: int = 1280, **more: Any
    ) -> Page:
        from puretune.study import load_results

        for file, text in html_pages(load_results(run), **more).items():
            (tmp_path / file).write_text(text, "utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(f"dialog {dialog.message}"))
        page.on("request", lambda one: said.append(one.url) if not one.url.startswith("file:") else None)
        page.goto((tmp_path / "report.html").as_uri() + fragment)
        return page

    yield show
    for context in contexts:
        context.close()
    assert said == []


def ready(page: Page) -> Page:
    page.wait_for_selector("#transcripts[data-ready]")
    return page


def until(page: Page, expression: str) -> None:
    """Waits until an expression of the page is true; the page's own policy allows no `eval` in it."""
    for _ in range(2000):
        if page.evaluate(f"!!({expression})"):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never true: {expression}")


def told(page: Page, text: str) -> None:
    until(page, f"document.querySelector('#transcript-count').textContent === {json.dumps(text)}")


def count(page: Page) -> str:
    return str(page.inner_text("#transcript-count"))


def test_nothing_that_a_model_wrote_runs(page_of: Open, tmp_path: Path) -> None:
    written_run(tmp_path / "run", HOSTILE)
    page = ready(page_of(tmp_path / "run"))
    title = page.title()
    page.click("#show-harm")
    for place in range(len(HOSTILE)):
        page.click(f"#answer-{place}")
        until(page, f"document.querySelector('#answer-title') && location.hash.includes('row={place}')")
        page.eval_on_selector_all("#answer-detail details", UNFOLD)
    assert page.title() == title != "owned"
    assert (
        page.eval_on_selector_all("img, iframe, object, embed, link, #transcripts svg", "all => all.length")
        == 0
    )
    assert page.eval_on_selector_all("script:not([type])", "all => all.length") == 1
    page.click("#answer-4")
    until(page, "document.querySelector('#answer-detail pre + p + pre').textContent.includes('red')")
    shown = page.eval_on_selector_all("#answer-detail pre", "all => all[1].textContent")
    assert shown == "\\u001b[31mred\\u0000\\u202egnp.exe\\ud800"


def test_a_cell_opens_its_answers_and_the_address_leads_back(page_of: Open, tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    page = ready(page_of(tmp_path / "run"))
    assert count(page) == "all 48 answers"
    page.click("table.heat td a >> nth=1")
    told(page, "8 of 48 answers")
    page.click("#answer-2")
    page.wait_for_selector("#answer-title")
    again = ready(page_of(tmp_path / "run", fragment="#" + page.url.partition("#")[2]))
    assert count(again) == "8 of 48 answers"
    again.wait_for_selector("#answer-title")
    assert again.inner_text("#answer-title") == page.inner_text("#answer-title")
    cards = again.locator(".other")
    assert cards.count() == 2  # the same prompt in the other two cells
    cards.first.click()
    until(again, "document.querySelector('#answer-title').textContent.startsWith('untuned')")


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("condition", "untuned", 16),
        ("template", "chat:llama", 48),
        ("class", "harm", 24),
        ("suite", "lab-maths", 24),
        ("category", "kind 1", 24),
        ("behaviour", "refused", 19),
        ("finish", "stop", 48),
        ("text", "ANSWER 3", 6),
    ],
)
def test_filters_leave_what_they_say(
    page_of: Open, tmp_path: Path, field: str, value: str, left: int
) -> None:
    written_run(tmp_path / "run")
    page = ready(page_of(tmp_path / "run"))
    control = page.locator(f"[name={field}]")
    control.fill(value) if field == "text" else control.select_option(value)
    told(page, "all 48 answers" if left == 48 else f"{left} of 48 answers")
    page.click("text=Clear filters")
    told(page, "all 48 answers")


def test_flips_are_the_prompts_on_which_cells_differ(page_of: Open, tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    page = ready(page_of(tmp_path / "run"))
    page.select_option("[name=metric]", "judge/asr")
    page.check("[name=flips]")
    told(page, "9 of 48 answers")


def test_a_label_stands_in_for_a_verdict_until_it_is_undone(page_of: Open, tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    page = ready(page_of(tmp_path / "run", fragment="#transcripts?condition=untuned&suite=lab-harmful"))
    assert "12.5 % (2.2 to 47.1), 8 prompts" in page.inner_text("#transcript-rates")
    page.click("#answer-0")
    page.click("#answer-detail button[aria-label='label yes: asr']")
    until(page, "document.querySelector('#transcript-rates').textContent.includes('25.0 %')")
    assert "with 1 of your labels" in page.inner_text("#transcript-recomputed")
    with page.expect_download() as download:
        page.click("#label-export")
    (line,) = Path(download.value.path()).read_text().splitlines()
    assert (
        json.loads(line).items()
        >= {"label": "yes", "condition": "untuned", "prompt_id": "lab-harmful/0"}.items()
    )
    page.click("#label-undo")
    until(page, "document.querySelector('#transcript-rates').textContent.includes('12.5 %')")


def test_the_keyboard_is_enough(page_of: Open, tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    page = ready(page_of(tmp_path / "run"))
    page.focus("#answers")
    for key, place in (("ArrowDown", 0), ("j", 1), ("End", 47), ("k", 46), ("Home", 0)):
        page.keyboard.press(key)
        assert page.get_attribute("#answers", "aria-activedescendant") == f"answer-{place}"
    page.wait_for_selector("#answer-title")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answer-title"
    page.focus("#answers")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    unnamed = page.eval_on_selector_all(
        "#transcripts select, #transcripts input, #transcripts button",
        "all => all.filter(one => !one.hidden && !one.closest('label') && !one.textContent.trim()).length",
    )
    assert unnamed == 0


def test_harmful_text_is_blurred_and_silent_until_it_is_asked_for(page_of: Open, tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    page = ready(page_of(tmp_path / "run", fragment="#transcripts?suite=lab-harmful&row=0"))
    page.wait_for_selector("#answer-title")
    blurred = "getComputedStyle(document.querySelector('#answer-detail pre')).filter"
    assert page.evaluate(blurred) == "blur(5px)"
    assert page.get_attribute("#answer-detail pre", "aria-hidden") == "true"
    page.click("#show-harm")
    assert page.evaluate(blurred) == "none"
    assert page.get_attribute("#answer-detail pre", "aria-hidden") is None


def test_what_is_harmful_is_not_in_a_redacted_file(page_of: Open, tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    page = ready(page_of(tmp_path / "run", fragment="#transcripts?suite=lab-harmful&row=16", redact=True))
    page.wait_for_selector("#answer-title")
    page.eval_on_selector_all("#answer-detail details", UNFOLD)
    assert "query 0" not in page.inner_text("#answer-detail")
    assert "answer 0 of chat:llama" not in page.inner_text("#answer-detail")
    assert "answer 0 of untuned" in page.inner_text("#answer-detail")  # a refusal stays
    assert "(left out: harmful)" in page.inner_text("#answer-detail")
    page.click("#answer-2")
    until(page, "document.querySelector('#answer-detail').textContent.includes('answer 2')")


def test_answers_that_are_too_many_are_a_page_beside(
    page_of: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_module, "LARGEST_INLINE", 100)
    written_run(tmp_path / "run")
    page = page_of(tmp_path / "run")
    assert page.locator("#transcripts").count() == 0
    page.click("table.heat td a >> nth=0")
    assert count(ready(page)) == "8 of 48 answers"


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_nothing_overlaps_or_runs_out_of_the_page(page_of: Open, tmp_path: Path, width: int) -> None:
    written_run(tmp_path / "run", ["word" * 60])
    page = ready(page_of(tmp_path / "run", fragment="#transcripts?row=0", width=width))
    page.wait_for_selector("#answer-title")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    overlaps = page.evaluate(OVERLAPS)
    assert overlaps == []


def test_on_a_phone_the_ptst_column_is_in_view_under_its_code(page_of: Open, tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    page = page_of(tmp_path / "run", width=390)
    box = page.locator("td.ptst").first.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert page.locator("table.heat thead abbr.code").first.is_visible()
