"""Reports in other formats, written again from a finished run; two runs side by side."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner

from puretune.cli.report import report
from puretune.errors import CheckFailed, InputError
from puretune.report import html_text, latex_tables, parquet_tables
from puretune.report._transcripts import pack
from puretune.study import answers_of, load_results, moved
from tests.report.matrices import matrix, one_cell, pairs
from tests.report.run_files import lines, written_run


def test_latex_has_every_mean_with_both_sides_of_its_interval() -> None:
    cells = [one_cell(train, "chat:llama", "a_b", "asr", 0.3) for train in ("chat:llama", "chat:vanilla")]
    (text,) = latex_tables(matrix(cells)).values()
    assert "\\toprule" in text
    assert "chat:llama & 30.0 {\\scriptsize $_{-8.8}^{+10.0}$} \\\\" in text
    assert "chat:vanilla & \\textbf{30.0}" in text
    assert "on a\\_b, in \\%" in text


def test_csv_and_parquet_hold_the_same_cells_and_parquet_every_answer(tmp_path: Path) -> None:
    study = written_run(tmp_path / "run")
    (tmp_path / "out").mkdir()
    paths = study.write(tmp_path / "out", ["csv"])
    assert {path.name for path in paths} == {"cells.csv", "means.csv", "comparisons.csv"}
    tables = {name: pandas.read_parquet(io.BytesIO(data)) for name, data in parquet_tables(study).items()}
    cells = pandas.read_csv(tmp_path / "out" / "cells.csv")
    assert list(cells["value"]) == list(tables["cells.parquet"]["value"]) == [c.value for c in study.cells]
    answers = tables["answers.parquet"]
    assert len(answers) == 48
    assert answers["judge asr"].sum() == 5
    redacted = pandas.read_parquet(io.BytesIO(parquet_tables(study, redact=True)["answers.parquet"]))
    harmful = redacted[redacted["suite"] == "lab-harmful"]
    assert set(harmful["query"]) == {"(left out: harmful)"}
    assert set(redacted[redacted["suite"] == "lab-maths"]["answer"]) == set(
        answers[answers["suite"] == "lab-maths"]["answer"]
    )


def test_figures_are_png_svg_and_pdf_and_the_same_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    study = pairs({("chat:llama", "chat:llama"): (0.3, 0.6), ("chat:vanilla", "chat:llama"): (0.1, 0.5)})
    paths = study.write(tmp_path, ["figures"])
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    names = {path.relative_to(tmp_path).as_posix() for path in paths}
    assert names >= {
        f"figures/{name}.{kind}" for name in ("frontier", "matrix-lab-harmful-judge-asr") for kind in starts
    }
    for path in paths:
        assert path.read_bytes().startswith(starts[path.suffix[1:]])
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in study.write(tmp_path, ["figures"])] == first


def test_every_answer_is_packed_with_its_verdicts_and_rendered_prompt(tmp_path: Path) -> None:
    study = written_run(tmp_path / "run")
    packed = pack(study, answers_of(study))
    head = json.loads(packed.head)
    assert len(head["columns"]["cell"]) == 48
    assert head["suites"] == {"lab-harmful": "harm", "lab-maths": "task"}
    assert [len(head["scorers"][0][name]) for name in ("behaviour", "parse")] == [48, 48]
    assert {name.partition("-")[0] for name in packed.chunks} == {
        "answer",
        "query",
        "reference",
        "raw",
        "rendered0",
    }
    assert "transcripts-head" in html_text(study)


def test_without_a_run_directory_the_page_has_the_samples(tmp_path: Path) -> None:
    assert "Every answer" in html_text(written_run(tmp_path / "run"))
    assert 'id="transcripts"' not in html_text(pairs({("chat:llama", "chat:llama"): (0.3, 0.6)}))


def test_the_command_writes_again_and_says_where(tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    found = CliRunner().invoke(report, [str(tmp_path / "run"), "--json"])
    files = json.loads(found.output)["files"]
    assert [Path(file).name for file in files] == ["report.html", "report.md"]
    assert all(Path(file).is_file() for file in files)
    found = CliRunner().invoke(
        report, [str(tmp_path / "run"), "--format", "latex", "--out", str(tmp_path / "o")]
    )
    assert found.output == f"{tmp_path / 'o' / 'tables.tex'}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--format", "htm"], "unknown report format 'htm'"),
        (["nowhere"], "no such file"),
        (["run", "run", "--redact"], "leave out --format"),
    ],
)
def test_what_cannot_be_reported_is_told(tmp_path: Path, arguments: list[str], says: str) -> None:
    written_run(tmp_path / "run")
    named = [str(tmp_path / one) if one in ("run", "nowhere") else one for one in arguments]
    found = CliRunner().invoke(report, named)
    assert isinstance(found.exception, InputError)
    assert says in str(found.exception)


def test_what_moved_between_two_runs_is_paired(tmp_path: Path) -> None:
    written_run(tmp_path / "a")
    written_run(tmp_path / "b")
    rows = [json.loads(line) for line in (tmp_path / "b" / "verdicts.jsonl").read_text().splitlines()]
    for row in rows:
        if row["condition"] == "chat:llama" and row["suite"] == "lab-harmful":
            row["values"] = {"asr": True}
    lines(tmp_path / "b" / "verdicts.jsonl", [row for row in rows if row["condition"] != "untuned"])
    found = moved(tmp_path / "a", tmp_path / "b")
    (changed,) = (one for one in found.comparisons if one.difference)
    assert (changed.condition, changed.suite, changed.difference) == ("chat:llama", "lab-harmful", 0.75)
    assert len(found.comparisons) == 4
    assert [name.split(",")[0] for name in found.only_first] == ["untuned -> chat:llama"] * 2
    assert found.only_second == found.unpaired == ()
    said = CliRunner().invoke(report, [str(tmp_path / "a"), str(tmp_path / "b")]).output
    assert "of 4 cells moved (p corrected)" in said
    assert "+75.0  (" in said
    assert max(map(len, said.replace(str(tmp_path), "").splitlines())) <= 80


def test_files_of_a_run_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    written_run(tmp_path / "run")
    lines(tmp_path / "run" / "answers.jsonl", [{"condition": "untuned"}])
    with pytest.raises(InputError, match=r"answers\.jsonl:1: not a line that a run writes"):
        html_text(load_results(tmp_path / "run"))


def test_reports_of_a_real_run_stay_its_own(tmp_path: Path) -> None:
    """Covered by the run's record: rewritten reports are not damage, edited ones are."""
    from puretune.study.matrix.run_directory import RunDirectory, replace_reports, sound_file

    run = tmp_path / "run"
    run.mkdir()
    RunDirectory(run, "mine", print).publish("key", {"results.json": "{}", "report.md": "old"})
    replace_reports(run, {"report.md": "new"}, print)
    assert sound_file(run, "report.md").read_text() == "new"
    (run / "report.md").write_text("edited")
    with pytest.raises(CheckFailed):
        sound_file(run, "report.md")
