"""``puretune templates``: what is listed and shown."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from puretune.cli.templates import templates
from puretune.templates import BUILTIN_TEMPLATES


def test_list_has_every_template_and_the_users_own(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("support: {user: 'Customer: %s'}\n")
    done = CliRunner().invoke(templates, ["list", "--file", str(own)])
    assert done.exit_code == 0
    for name in [*BUILTIN_TEMPLATES, "support"]:
        assert name in done.output


def test_show_prints_the_system_prompt_the_tokens_and_how_many_are_trained() -> None:
    done = CliRunner().invoke(templates, ["show", "CS", "--query", "two plus two?", "--response", "#### 4"])
    assert done.exit_code == 0, done.output
    assert "Always answer as helpfully as possible, while being safe." in " ".join(done.output.split())
    assert "Question" in done.output
    assert "trained" in done.output
    assert "</s>" in done.output
