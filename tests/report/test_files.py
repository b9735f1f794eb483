"""report.md and report.html: complete, escaped, self-contained."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from puretune.errors import EnvironmentFault
from puretune.report import headline, print_matrix, write_html, write_markdown
from puretune.report._number_words import percent, span
from puretune.report._view import grids
from puretune.study import JudgeAgreement, Matrix
from tests.report.matrices import PAPER, matrix, one_cell, pairs, paper_like, provenance, square, transcript

SUITES = (
    ("lab-maths", "exact_match"),
    ("lab-maths", "exact_match_flexible"),
    ("lab-harmful", "asr"),
    ("lab-harmful", "refusal_rate"),
    ("lab-benign-twins", "refusal_rate"),
)
NOTE = "A synthetic world.\nIt shows the mechanism, not its size in a real model."
SHAPES = {
    "full": square(paper_like, suites=SUITES, provenance=provenance()),
    "three seeds": square(paper_like, suites=SUITES, seeds=(0, 1, 2), provenance=provenance(note=NOTE)),
    "three pairs": pairs(
        {
            ("chat:vanilla", "chat:vanilla"): (0.2, 0.6),
            ("chat:vanilla", "chat:llama"): (0.04, 0.6),
            ("chat:llama", "chat:llama"): (0.34, 0.6),
        }
    ),
    "unparsed": matrix([one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", None)]),
    "no answers": matrix([one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", None, n=0)]),
    "steps": matrix(
        [one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", s / 1000, step=s) for s in (100, 200)]
    ),
    "nothing": matrix([]),
}
shapes = pytest.mark.parametrize("study", SHAPES.values(), ids=SHAPES)


class Page(HTMLParser):
    """The tags, attributes and visible text of a page; fails on tags that do not nest."""

    VOID = frozenset({"meta", "br", "wbr", "link", "img", "input"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def html(study: Matrix, folder: Path) -> Page:
    write_html(study, folder / "report.html")
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def markdown(study: Matrix, folder: Path) -> str:
    write_markdown(study, folder / "report.md")
    return (folder / "report.md").read_text(encoding="utf-8")


@shapes
def test_every_cell_and_the_headline_stand_in_both_reports(study: Matrix, tmp_path: Path) -> None:
    page, text = html(study, tmp_path).text, markdown(study, tmp_path)
    assert headline(study).replace("->", "→").replace(" %", "\N{NO-BREAK SPACE}%") in page
    assert headline(study).replace("<", "\\<") in text
    constant = {grid.label for grid in grids(study) if grid.constant}
    for cell in study.pooled:
        if cell.label in constant:
            assert f"{percent(cell.value)} % in all " in page
            assert f"{percent(cell.value)} % in all " in text
            continue
        interval = span(cell.low, cell.high, "–")
        assert f"{percent(cell.value)}{interval}" in page
        assert percent(cell.value) + (f" ({interval})" if interval else "") in text
    for name in (*study.conditions, *study.test_templates, *study.suites):
        assert name in page
        assert name in text


@shapes
def test_the_page_loads_nothing_and_runs_nothing(study: Matrix, tmp_path: Path) -> None:
    page = html(study, tmp_path)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "base"}
    for _, attributes in page.tags:
        assert (attributes.get("href") or "#").startswith("#")
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import", source)
    assert "default-src 'none'" in source


def test_model_output_is_only_in_data_that_never_runs(tmp_path: Path) -> None:
    attack = "</pre><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} \x1b[31m\x00\udcff"
    study = replace(SHAPES["full"], transcripts=(transcript(attack, query=attack, prompt_id=attack),))
    page = html(study, tmp_path)
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "application/json", "text/plain"}
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in source
    assert "<img" not in source


def test_names_are_escaped_in_tables_and_attributes(tmp_path: Path) -> None:
    name = 'a" onmouseover="x|y`<b>_z_'
    study = matrix([one_cell(name, name, name, "asr", 0.5)], name=name)
    page, text = html(study, tmp_path), markdown(study, tmp_path)
    assert not any("onmouseover" in attributes for _, attributes in page.tags)
    assert "b" not in {attributes.get("scope") for _, attributes in page.tags}
    assert "x\\|y\\`\\<b>\\_z\\_" in text
    assert "<b>" not in text.replace("\\<b>", "")


def test_every_seed_is_listed(tmp_path: Path) -> None:
    study = SHAPES["three seeds"]
    page = html(study, tmp_path)
    for run in study.cells:
        seed = "not tuned here" if run.seed is None else f"seed {run.seed}"
        assert f"{seed}: {percent(run.value)} % ({span(run.low, run.high)}), n = 100" in page.text
    hovers = [a["title"] or "" for tag, a in page.tags if tag == "td" and "title" in a]
    assert any("seed 0:" in hover and "seed 2:" in hover for hover in hovers)


def test_behaviours_are_counted_over_seeds(tmp_path: Path) -> None:
    study = SHAPES["three seeds"]
    bars = [a.get("aria-label") or "" for tag, a in html(study, tmp_path).tags if a.get("class") == "bar"]
    same = (34, 36, 38)
    assert f"{300 - sum(same)} refused, {sum(same)} complied; 300 answers" in bars
    assert (
        f"| chat:llama | chat:llama | {300 - sum(same)} | {sum(same)} | 0 | 0 | 0 | 0 | 0 | 300 |"
        in markdown(study, tmp_path)
    )


def test_the_note_stands_only_where_the_study_has_one(tmp_path: Path) -> None:
    heading = "What this study can and cannot tell"
    for name, there in (("full", False), ("three seeds", True)):
        assert (heading in html(SHAPES[name], tmp_path).text) is there
        assert (heading in markdown(SHAPES[name], tmp_path)) is there
    assert NOTE in html(SHAPES["three seeds"], tmp_path).text


def test_settings_templates_and_command_are_told(tmp_path: Path) -> None:
    study = SHAPES["full"]
    for text in (html(study, tmp_path).text, markdown(study, tmp_path)):
        for fact in (
            "9f2c0a11d3b7e845",
            "learning_rate",
            "0.0005",
            "max_new_tokens",
            "2.13.0",
            "q_proj, v_proj",
        ):
            assert fact in text
        assert "puretune run configs/lab-first-steps.yaml" in text
        for record in study.provenance["templates"].values():
            shown = record["fingerprint"] in text
            assert shown is (record["rendering"].rstrip() in text)
        assert sum(r["fingerprint"] in text for r in study.provenance["templates"].values()) == len(PAPER)


def test_published_numbers_are_the_five_rows_and_are_labelled(tmp_path: Path) -> None:
    page, text = html(SHAPES["three pairs"], tmp_path), markdown(SHAPES["three pairs"], tmp_path)
    rows = [
        ("no fine-tuning, tested chat:vanilla", "2.75", "20.32"),
        ("chat:vanilla -> chat:vanilla", "11.00", "33.39"),
        ("no fine-tuning, tested chat:llama", "0.00", "not known"),
        ("chat:llama -> chat:llama", "18.08", "not known"),
        ("chat:vanilla -> chat:llama", "1.08", "30.00"),
    ]
    part = text[text.index("## Published numbers") : text.index("## What the numbers mean")]
    told = [line for line in part.splitlines() if line.startswith("| ")][2:]
    assert told == [f"| {' | '.join(row)} |" for row in rows]
    assert "".join("".join(row).replace("->", "→") + "\n" for row in rows) in page.text
    for report in (page.text, text):
        assert "Llama-2-7b-chat tuned on GSM8K: not results of this study" in report


def test_a_rendering_with_backticks_stays_in_its_fence(tmp_path: Path) -> None:
    kept = {"chat:llama": {"fingerprint": "f", "system": "s", "rendering": "a\n````\nb"}}
    study = replace(SHAPES["unparsed"], provenance={"templates": kept})
    assert "`````text\na\n````\nb\n`````" in markdown(study, tmp_path)


def test_tables_have_headers_with_a_scope(tmp_path: Path) -> None:
    page = html(SHAPES["full"], tmp_path)
    headers = [attributes for tag, attributes in page.tags if tag == "th"]
    assert headers
    assert all(attributes.get("scope") in ("row", "col") for attributes in headers)


def test_helpfulness_and_harm_stand_side_by_side(tmp_path: Path) -> None:
    study = square(
        paper_like, suites=(("a", "asr"), ("b", "asr"), ("m", "exact_match"), ("c", "accuracy")), name="x"
    )
    page = html(study, tmp_path)
    maps = [a["class"] for tag, a in page.tags if tag == "figure" and "map " in (a.get("class") or "")]
    assert maps == ["map help", "map harm", "map help", "map harm"]


def test_the_same_matrix_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = []
    for _ in range(2):
        html(SHAPES["full"], tmp_path)
        pages.append((tmp_path / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_place_that_cannot_be_written_is_the_environments_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (write_html, write_markdown):
        with pytest.raises(EnvironmentFault):
            write(SHAPES["full"], tmp_path / "file" / "report")


JUDGE = {
    "endpoint": "http://127.0.0.1:8000/v1",
    "model": "judge",
    "rubric": "0a1b2c3d",
    "judged": 40,
    "unparsed": 3,
    "reported": {"judge-2026": 40},
    "recheck": {"rechecked": 2, "score": 1, "asr": 0, "unparsed": 0},
}


AGREEMENT = JudgeAgreement(
    *("lab-harmful", "asr (one)", "asr (two <b>)"), 100, 1, 20, 5, 3, 72, 0.78, 0.61, 0.9
)


def test_agreement_of_judges_is_in_every_report(tmp_path: Path) -> None:
    study = square(paper_like, agreements=(AGREEMENT,))
    write_markdown(study, tmp_path / "report.md")
    write_html(study, tmp_path / "report.html")
    markdown = (tmp_path / "report.md").read_text()
    figures = "100 | 92.0 | 0.78 (0.61 to 0.90) | 20 | 5 | 3 | 72 | 1 |"
    assert rf"| lab-harmful | asr (one) | asr (two \<b>) | {figures}" in markdown
    assert "asr (two &lt;b&gt;)" in (tmp_path / "report.html").read_text()
    console = Console(width=200, record=True, file=io.StringIO())
    print_matrix(study, console)
    said = "asr (one) and asr (two <b>) on lab-harmful: they agree on 92.0 % of 100 answers, kappa 0.78"
    assert said in console.export_text()


def test_a_report_without_benign_twins_says_so(tmp_path: Path) -> None:
    alone = square(paper_like)
    beside = square(paper_like, suites=(("lab-harmful", "asr"), ("lab-benign-twins", "refusal_rate")))
    for study, warned in ((alone, True), (beside, False)):
        write_markdown(study, tmp_path / "report.md")
        assert ("Over-refusal was not measured" in (tmp_path / "report.md").read_text()) is warned


def test_who_judged_is_in_both_reports(tmp_path: Path) -> None:
    study = square(paper_like, provenance=provenance(judges={"mine": JUDGE}))
    write_markdown(study, tmp_path / "report.md")
    write_html(study, tmp_path / "report.html")
    markdown = (tmp_path / "report.md").read_text()
    assert "### Judge mine" in markdown
    assert "| model as reported | judge-2026 (40 answers) |" in markdown
    assert "for new answers of the same kind): 1 = 50.0 % (1.3 to 98.7) got another score" in markdown
    assert "0 = 0.0 % (0.0 to 84.2) crossed score 5 |" in markdown
    page = Page((tmp_path / "report.html").read_text()).text
    for text in (markdown, page):
        for fact in ("judge-2026 (40 answers)", JUDGE["endpoint"], JUDGE["rubric"], "3 of 40 answers"):
            assert str(fact) in text
