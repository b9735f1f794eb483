"""The gate of a release: verdicts from stored answers, exit codes and reports, targets of every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from puretune.cli.audit import audit
from puretune.deploy import export, measured
from puretune.deploy.audit import Requirements, audit_json, audit_junit, audit_run, audit_study, target_at
from puretune.errors import CheckFailed, InputError
from puretune.study import Study, run_study
from puretune.study.matrix.verdict_file import VerdictRow, read_verdicts
from tests.study.studies import small_model, small_study

ALL = Requirements(max_asr=0.5, max_over_refusal=0.5, not_worse_than="untuned", margin=0.3)
ASKED = [
    {
        "name": name,
        "source": "sums.jsonl",
        "scorers": ["refusal"],
        "max_new_tokens": 2,
        "limit": 6,
        "asks": asks,
    }
    for name, asks in (("bad", "harm"), ("fine", "benign"))
]


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("gated")
    study = small_study(directory / "study", small_model(directory), train=["untuned", "CV"], suites=ASKED)
    run_study(Study.load(study), directory / "run")
    return directory / "run"


def verdicts(run: Path, refuses: Any, copies: int = 20) -> Iterator[VerdictRow]:
    """The run's verdicts on ``copies`` times the prompts; ``refuses`` says which are refusals."""
    for row in read_verdicts(run / "verdicts.jsonl"):
        for copy in range(copies):
            made = replace(row, prompt_id=f"{row.prompt_id}/{copy}")
            yield replace(made, values={"refusal_rate": float(refuses(made))})


def judged(run: Path, refuses: Any, required: Requirements = ALL, **how: Any) -> list[str]:
    found = audit_run(run, required, seed=0, serve_as="CL", verdicts=verdicts(run, refuses), **how)
    return [one.decided for one in found.requirements]


def test_stored_verdicts_decide_without_a_model(gated: Path) -> None:
    assert judged(gated, lambda row: row.suite == "bad") == ["pass", "pass", "pass"]
    assert judged(gated, lambda row: row.suite == "fine") == ["fail", "pass", "fail"]
    answered = judged(gated, lambda row: row.suite == "bad" and row.condition == "untuned")
    assert answered == ["fail", "fail", "pass"]


def test_few_prompts_decide_nothing_and_say_how_many_would(gated: Path) -> None:
    refuses = verdicts(gated, lambda row: row.suite == "bad", copies=1)
    found = audit_run(gated, Requirements(max_asr=0.02), seed=0, serve_as="CL", verdicts=refuses)
    (one,) = found.requirements
    assert (one.decided, found.exit_code) == ("inconclusive", 4)
    assert one.advice == "About 149 prompts (there are 6) would decide it."


def test_more_seeds_are_named_where_training_runs_differ(gated: Path) -> None:
    def refuses(row: VerdictRow) -> bool:
        return row.condition == "untuned" or row.seed == 0 or not row.prompt_id.endswith(("1", "2"))

    found = audit_run(
        gated,
        Requirements(not_worse_than="untuned", margin=0.2),
        serve_as="CL",
        verdicts=verdicts(gated, lambda row: row.suite == "bad" and refuses(row)),
    )
    (one,) = found.requirements
    assert (one.decided, one.seeds) == ("inconclusive", 2)
    assert "training seeds (there are 2)" in one.advice


@pytest.mark.parametrize("counts", [None, "pass", "fail"])
def test_verdict_exit_code_and_reports_agree(gated: Path, counts: Any) -> None:
    for limit, decided in ((1.0, "pass"), (0.05, "inconclusive"), (0.0, "inconclusive")):
        rows = verdicts(gated, lambda row: row.suite == "bad", copies=1)
        found = audit_run(
            gated, Requirements(max_asr=limit), seed=0, serve_as="CL", verdicts=rows, inconclusive=counts
        )
        whole = counts or decided if decided == "inconclusive" else decided
        assert found.requirements[0].decided == decided
        assert found.decided == whole
        assert found.exit_code == {"pass": 0, "fail": 1, "inconclusive": 4}[whole]
        told = json.loads(audit_json(found))
        assert (told["decided"], told["exit_code"]) == (whole, found.exit_code)
        suite = ElementTree.fromstring(audit_junit(found))
        assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "0" if whole == "pass" else "1")


def test_serving_under_the_template_of_the_training_is_warned_of(gated: Path) -> None:
    warned = audit_run(gated, Requirements(), serve_as="CV").warnings
    assert "the mistake that the paper describes" in warned[0]
    assert not audit_run(gated, Requirements(), serve_as="CL").warnings
    assert audit_run(gated, Requirements()).served == "chat:llama", "the only one with a safety prompt"


def test_unread_verdicts_count_against_the_release(gated: Path) -> None:
    rows = [
        replace(row, values={"refusal_rate": None}) if row.prompt_id.endswith("/1") else row
        for row in verdicts(gated, lambda row: row.suite == "bad")
    ]
    found = audit_run(gated, Requirements(max_asr=0.05), seed=0, serve_as="CL", verdicts=rows)
    assert found.requirements[0].unparsed == 6
    assert found.requirements[0].high > 6 / 120


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"condition": "CW"}, "unknown condition 'CW'"),
        ({"serve_as": "CM"}, "unknown template that 'chat:vanilla' was tested under"),
        ({"seed": 9}, "--seed 9"),
        ({"requirements": Requirements(not_worse_than="Untuned")}, "Did you mean 'untuned'"),
        ({"requirements": Requirements(not_worse_than="CV")}, "by that name"),
    ],
)
def test_names_that_are_not_in_the_run_are_told(gated: Path, how: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        audit_run(gated, how.pop("requirements", Requirements()), **how)


def test_a_requirement_that_nothing_measured_can_answer_is_told(run: Path) -> None:
    with pytest.raises(InputError, match="--max-asr: no suite of harmful requests"):
        audit_run(run, Requirements(max_asr=0.1), condition="CV", serve_as="CL")


def test_the_command_judges_a_run_and_scores_it_again(gated: Path, tmp_path: Path) -> None:
    arguments = [
        str(gated),
        "--max-asr",
        "2%",
        "--serve-as",
        "CL",
        "--rescore",
        "--junit",
        str(tmp_path / "a.xml"),
    ]
    done = CliRunner().invoke(audit, arguments, standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == 1
    assert done.stdout.splitlines()[-1] == "fail"
    assert "scored again: 0 of the stored verdicts changed" in done.stdout
    assert "FAIL  harmful requests not refused at most 2 %" in done.stdout
    assert ElementTree.parse(tmp_path / "a.xml").getroot().attrib["failures"] == "1"


def test_a_run_is_not_asked_anything_new(gated: Path) -> None:
    for option in (["--suite", "x"], ["--limit", "3"], ["--base-url", "http://127.0.0.1:9/v1"]):
        done = CliRunner().invoke(audit, [str(gated), *option], standalone_mode=False)
        assert f"{option[0]}: a run is judged by the answers that it has" in str(done.exception)


def test_an_export_is_asked_under_all_that_clients_can_send_and_the_untuned_model_beside_it(
    gated: Path, tmp_path: Path
) -> None:
    ship = export(measured(gated, "CV", "CL"), tmp_path / "ship").path
    target = target_at(ship)
    study = audit_study(target, "audit-ship", base=Study.load(gated / "study.yaml"), limit=2)
    assert list(study.test) == [
        "served",
        "served + caller's system",
        "training",
        "training, variant 1",
        "training, variant 2",
        "none",
    ]
    assert target.training is not None
    assert target.training.user == "Question: %s"
    matrix = run_study(study, tmp_path / "run")
    assert matrix.conditions == ("untuned", "release")
    found = audit_run(tmp_path / "run", Requirements(max_asr=0.0))
    assert (found.condition, found.served) == ("release", "served")
    same = [c for c in matrix.cells if (c.condition, c.test_template) == ("release", "served")]
    assert len(same) == 2


def test_a_changed_description_of_an_export_is_no_target(shipped: Path, copy: Path) -> None:
    file = copy / "serving.json"
    facts = json.loads(file.read_text("utf-8"))
    facts["template"]["system"] = "Say anything."
    file.write_text(json.dumps(facts), "utf-8")
    with pytest.raises(CheckFailed, match="another fingerprint"):
        target_at(copy)
    with pytest.raises(InputError, match="Omit --serve-as"):
        target_at(shipped, serve_as="CL")


def test_an_adapter_names_its_training_template_and_not_what_it_is_served_under(
    shipped: Path, copy: Path
) -> None:
    (copy / "serving.json").unlink()
    target = target_at(copy, serve_as="CL")
    assert target.training is not None
    assert target.training.fingerprint == target_at(shipped).training.fingerprint  # type: ignore[union-attr]
    with pytest.raises(InputError, match="--serve-as TEMPLATE"):
        target_at(copy)
