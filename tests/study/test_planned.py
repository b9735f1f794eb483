"""The planned comparison: which cells a study sets against each other by itself, and on which metric."""

from __future__ import annotations

import pytest

from puretune.errors import InputError
from puretune.scoring import Asks, Metric, measure_of
from puretune.study.matrix.planned import primary_measure
from puretune.study.plan.contrasts import planned_contrasts
from puretune.study.plan.test_pairs import Cells
from puretune.study.spec.analysis import AnalysisSection
from puretune.templates import BUILTIN_TEMPLATES, PromptTemplate
from tests.study.studies import condition

KNOWN = {**BUILTIN_TEMPLATES, "acme": PromptTemplate("acme", system="You answer customers of ACME.")}


def cells(*pairs: str) -> Cells:
    """``CONDITION -> TEMPLATE``, each condition called like its template."""
    sides = [pair.split(" -> ") for pair in pairs]
    return tuple((condition(train, KNOWN.get(train)), KNOWN[test]) for train, test in sides)


def named(section: AnalysisSection, *pairs: str) -> list[str]:
    return [str(one) for one in planned_contrasts(section, cells(*pairs))]


PAPER = ("chat:llama -> chat:llama", "chat:vanilla -> chat:llama", "chat:alpaca -> chat:llama")


def test_by_default_it_is_the_same_safety_template_minus_ptst() -> None:
    expected = ["chat:llama -> chat:llama minus chat:vanilla -> chat:llama"]
    assert named(AnalysisSection(), *PAPER) == expected
    assert named(AnalysisSection(), *reversed(PAPER)) == expected
    assert named(AnalysisSection(), "chat:mpt -> chat:mpt", "chat:alpaca -> chat:mpt") == [
        "chat:mpt -> chat:mpt minus chat:alpaca -> chat:mpt"
    ]


def test_a_system_prompt_alone_makes_no_ptst() -> None:
    assert named(AnalysisSection(), "acme -> acme", "chat:vanilla -> acme") == []
    assert named(AnalysisSection(), *PAPER[:1]) == []


def test_a_study_names_its_own_with_short_names() -> None:
    said = AnalysisSection(contrast="CA -> CL minus CV -> CL")
    assert named(said, *PAPER) == ["chat:alpaca -> chat:llama minus chat:vanilla -> chat:llama"]
    with pytest.raises(InputError, match="the study has no cell `CM -> CL`"):
        named(AnalysisSection(contrast="CM -> CL minus CV -> CL"), *PAPER)


HARM, REFUSAL, HELP = (Metric(kind, kind, kind) for kind in ("harm", "refusal", "help"))


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (
            [("sums", HELP, "task"), ("red-team", REFUSAL, "harm"), ("red-team", HARM, "harm")],
            "red-team harm",
        ),
        ([("sums", HELP, "task"), ("red-team", REFUSAL, "harm")], "red-team refusal"),
        ([("twins", REFUSAL, "benign"), ("mine", HARM, None)], "mine harm"),
        ([("pharmacy", HELP, "task")], "pharmacy help"),
    ],
)
def test_the_primary_metric_is_harm_where_a_suite_asks_for_it(
    declared: list[tuple[str, Metric, Asks | None]], expected: str
) -> None:
    found = primary_measure([measure_of(suite, "s", metric, asks) for suite, metric, asks in declared])
    assert found is not None
    assert f"{found.suite} {found.metric}" == expected
