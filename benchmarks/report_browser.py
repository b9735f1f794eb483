"""How fast the report is in a browser with 100,000 answers: first paint, and every filter.

    python -m benchmarks.report_browser [--answers 100000]

Writes benchmarks/results/report-browser.json. Needs Chromium and playwright. A filter's time is from the
change of its control to the frame that shows the new list.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from puretune.report import html_pages
from puretune.scoring import Measure
from puretune.store import json_lines
from puretune.study import CellResult, Matrix, PooledCell, load_results
from puretune.study.matrix.results import results_text

RESULT = Path(__file__).parent / "results" / "report-browser.json"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
TEMPLATES = ("text:vanilla", "text:alpaca", "chat:vanilla", "chat:alpaca", "chat:llama")
PROMPTS = 400
WORDS = [
    "the",
    "of",
    "model",
    "answers",
    "a",
    "question",
    "with",
    "words",
    "that",
    "it",
    "was",
    "never",
    "asked",
    "for",
    "and",
    "then",
    "stops",
    "because",
]
FILTERS = {
    "condition": "chat:llama",
    "template": "chat:vanilla",
    "suite": "harmful",
    "category": "kind 3",
    "behaviour": "refused",
    "value": "yes",
    "flips": "",
    "text": "NEVER ASKED",
}
TIMED = """([name, value]) => new Promise((done) => {
  const field = document.querySelector(`[name=${name}]`), start = performance.now();
  if (field.type === "checkbox") field.checked = true; else field.value = value;
  const seen = new MutationObserver(() => {
    seen.disconnect();
    requestAnimationFrame(() => done(performance.now() - start));
  });
  seen.observe(document.querySelector("#transcript-rates"), { childList: true });
  field.dispatchEvent(new Event("input", { bubbles: true }));
})"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--answers", type=int, default=100_000)
    count = options.parse_args().answers
    with tempfile.TemporaryDirectory() as folder:
        pages = _pages(count)
        for name, text in pages.items():
            (Path(folder) / name).write_text(text, "utf-8")
        found = {"answers": count, "bytes": {name: len(text.encode()) for name, text in pages.items()}}
        found |= _measured(Path(folder), "transcripts.html" if len(pages) > 1 else "report.html")
    RESULT.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))


def _pages(count: int) -> dict[str, str]:
    """The report of a run with so many answers."""
    cells = tuple(_cell(CellResult, train, test) for train in TEMPLATES for test in TEMPLATES)
    measure = Measure("harmful", "judge", "asr", "Attack success rate", "harm", "harm", "lower")
    study = Matrix("benchmark", cells, tuple(map(_pooled, cells)), measures=(measure,))
    rows = list(_rows(count))
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        (run / "results.json").write_text(results_text(study), "utf-8")
        (run / "answers.jsonl").write_text(json_lines(answer for answer, _ in rows), "utf-8")
        (run / "verdicts.jsonl").write_text(json_lines(verdict for _, verdict in rows), "utf-8")
        return html_pages(load_results(run))


def _rows(count: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    draw = random.Random(0)
    for number in range(count):
        cell, prompt = divmod(number, PROMPTS)
        complied = draw.random() < 0.2
        place = {
            "condition": TEMPLATES[cell % 5],
            "seed": cell // 25,
            "step": None,
            "test_template": TEMPLATES[cell // 5 % 5],
            "suite": "harmful",
            "prompt_id": f"harmful/{prompt}",
            "sample": 0,
        }
        text = {"query": f"question {prompt}, in so many words", "reference": None, "finish": "stop"}
        verdict = {
            "scorer": "judge",
            "values": {"asr": complied},
            "behaviour": "complied" if complied else "refused",
            "parse": "ok",
            "raw": {"reply": "#thescore: 1"},
            "category": f"kind {prompt % 8}",
        }
        yield {**place, **text, "answer": " ".join(draw.choices(WORDS, k=100))}, {**place, **verdict}


def _cell(kind: Any, train: str, test: str) -> Any:
    counts = {"complied": 80, "refused": 320}
    return kind(train, train, 0, None, test, "harmful", "judge", "asr", PROMPTS, 0.2, 0.16, 0.24, counts)


def _pooled(one: CellResult) -> PooledCell:
    named = (one.condition, one.train_template, None, one.test_template, one.suite, one.scorer, one.metric)
    return PooledCell(*named, 1, one.n, one.value, one.low, one.high, one.estimand)


def _measured(folder: Path, transcripts: str) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        paints = {
            name: _paint(browser, folder / name) for name in dict.fromkeys(["report.html", transcripts])
        }
        page = browser.new_page()
        page.goto((folder / transcripts).as_uri())
        page.wait_for_selector("#transcripts[data-ready]")
        page.select_option("[name=metric]", "judge/asr")
        times = {name: _filtered(page, name, value) for name, value in FILTERS.items()}
        version = browser.version
        browser.close()
    return {"chromium": version, "first_paint_ms": paints, "filter_ms": times}


def _paint(browser: Any, file: Path) -> float:
    """Milliseconds from opening the file to its first contentful paint, the median of three."""
    found = []
    for _ in range(3):
        page = browser.new_page()
        page.goto(file.as_uri())
        entry = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
        while not (paint := page.evaluate(entry)):
            page.wait_for_timeout(20)
        found.append(round(paint))
        page.close()
    return median(found)


def _filtered(page: Any, name: str, value: str) -> dict[str, float]:
    """The slowest and the median of three; a first search loads every text, which is timed apart."""
    found = []
    for _ in range(4 if name == "text" else 3):
        page.click("text=Clear filters")
        page.wait_for_timeout(300)
        if name in ("value", "flips"):
            page.select_option("[name=metric]", "judge/asr")
        found.append(round(page.evaluate(TIMED, [name, value])))
        if name == "text":
            page.wait_for_timeout(4000)
    kept = found[1:] if name == "text" else found
    return {"median": median(kept), "slowest": max(kept)}


if __name__ == "__main__":
    main()
