"""``puretune show``: renderings token by token, with colours and without."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from puretune.cli import _tokens as draw
from puretune.cli.show import show
from tests import families
from tests.real_tokenizers import mistral_path

__all__ = ["mistral_path"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(show, list(arguments), standalone_mode=False)


def said(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tokenizers alone, one for each family."""
    root = tmp_path_factory.mktemp("tokenizers")
    for name in ("llama-2", "qwen2", "qwen3", "gemma"):
        families.save_tokenizer(name, root / name)
    return {path.name: str(path) for path in root.iterdir()}


def test_one_template_shows_every_token_and_what_is_trained() -> None:
    result = run("lab", "--query", "two plus two?", "--response", "#### 4")
    assert result.return_value == 0
    assert "prompt," in said(result)
    assert "│<|assistant|>⟦####│" in result.output
    assert "</s>⟧" in result.output
    assert "apply_chat_template the same tokens" in said(result)


def test_against_shows_both_and_what_differs() -> None:
    text = said(run("lab", "--template", "CV", "--against", "CL"))
    assert "A chat:vanilla (CV)" in text
    assert "B chat:llama (CL)" in text
    assert "0 only in A, 97 only in B; the trained tokens are the same" in text
    assert "after <s> A 0 nothing B 97 <|system|>│You│" in text


def test_the_real_mistral_vocabulary_needs_a_tokenizer_only(mistral_path: Path) -> None:
    result = run(str(mistral_path), "--template", "CL", "--markup", "mistral", "--against", "CV")
    text = said(result)
    assert result.return_value == 0
    assert "tokens 32,000 BOS <s> stops </s>" in text
    assert "<s>│ [│INST│]│ You│ are│ a│ helpful│,│ respect│ful" in text
    assert "B: the same tokens" in text
    assert "apply_chat_template A: rejects these turns: a turn is of the user or the assistant" in text


def test_the_newline_that_llama_2s_own_template_strips_is_shown(directories: dict[str, str]) -> None:
    text = said(run(directories["llama-2"], "-t", "CA", "--markup", "llama-2", "--against-markup", "auto"))
    assert "A chat:alpaca (CA), markup llama-2" in text
    assert "after Response: A 1 ⏎ B 0 nothing" in text
    assert "apply_chat_template A: other tokens" in text
    assert "apply_chat_template B: the same tokens" in text


def test_a_default_system_message_is_shown_with_the_reason_why_a_study_stops(
    directories: dict[str, str],
) -> None:
    result = run(directories["qwen2"])
    assert result.return_value == 2
    assert "re│at│e│d" in result.output or "created" in result.output
    assert "writes a system message of its own" in said(result)
    assert "default_system: keep" in said(result)
    assert run(directories["qwen2"], "--default-system", "keep").return_value == 0


def test_a_template_that_cannot_be_rendered_says_why_beside_one_that_can(directories: dict[str, str]) -> None:
    result = run(directories["gemma"], "--against", "CL")
    assert result.return_value == 2
    assert "this model has no system role" in said(result)
    assert "A chat:vanilla (CV)" in said(result)


def test_arguments_are_set(directories: dict[str, str]) -> None:
    thoughtless = run(directories["qwen3"], "--set", "enable_thinking=false")
    assert "28 prompt" in said(thoughtless)
    assert "</think>" not in said(run(directories["qwen3"], "--set", "enable_thinking=true")).split("⟦")[0]
    with pytest.raises(Exception, match="NAME=VALUE"):
        CliRunner().invoke(show, [directories["qwen3"], "--set", "x"], catch_exceptions=False)


def test_templates_come_from_a_file(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("support: {user: 'Customer: %s'}\n")
    assert "Customer" in run("lab", "-t", "support", "--file", str(own)).output.replace("│", "")


def drawn(width: int, colours: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    """The rendering as a terminal of that width would get it."""
    from rich.text import Text

    from puretune.models import ModelSpec, renderer_for
    from puretune.templates import Message, resolve_template

    monkeypatch.delenv("NO_COLOR", raising=False)
    renderer = renderer_for(ModelSpec("lab"))
    rendering = renderer.example(resolve_template("CL"), (Message("user", "x"), Message("assistant", "y")))
    out = io.StringIO()
    system = "256" if colours else None
    console = Console(file=out, width=width, force_terminal=True, color_system=system)  # type: ignore[arg-type]
    draw.print_rendering(console, Text("A"), renderer.tokenizer, rendering, only={1})
    draw.print_legend(console, compared=True)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in drawn(width, False, monkeypatch).splitlines():
        assert len(line) <= width


def test_colours_stand_in_for_the_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured, plain = (drawn(80, colours, monkeypatch) for colours in (True, False))
    assert "\x1b[" in coloured
    assert "│" not in coloured
    assert " only here " in coloured
    assert "│" in plain
    assert "⟦" in plain
