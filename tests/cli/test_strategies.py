"""``puretune strategies``: every strategy with a line; one spelled out as YAML that a study can hold."""

from __future__ import annotations

import yaml
from click.testing import CliRunner

from puretune.cli.strategies import strategies
from puretune.study import STRATEGIES, Study


def ask(*arguments: str) -> str:
    result = CliRunner().invoke(strategies, arguments)
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_the_list_has_every_strategy() -> None:
    listed = ask("list")
    assert all(name in listed for name in STRATEGIES.names())


def test_what_is_shown_can_be_pasted_into_a_study() -> None:
    assert "without options: other: name a condition" in ask("show", "interpolation")
    for name in set(STRATEGIES.names()) - {"interpolation", "safe-lora", "safe-merge"}:
        said = yaml.safe_load(ask("show", name).split("spelled out:\n")[1])
        study = Study(name="s", model="lab", tuning={"data": "lab-maths"}, suites=["lab-maths"], **said)
        assert study.pairs
