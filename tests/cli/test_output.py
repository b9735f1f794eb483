"""Everything printed passes one place; whatever goes wrong ends as one line with an exit code."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import puretune
from puretune.cli import main
from puretune.cli._faults import INTERNAL, explained
from puretune.cli._output import new_console, say
from puretune.errors import CheckFailed, EnvironmentFault, InputError

STEERING = "\x1b]0;TITLE\x07\x1b[2J\u202e\u200b[/b][red]\ud800"
SHOWN = r"\x1b]0;TITLE\x07\x1b[2J\u202e\u200b[/b][red]\ud800"
ROOT = Path(puretune.__file__).parent


# The trainer's processes speak JSON to their parent over stdout.
PRINTERS = ("cli/_output.py", *(str(p.relative_to(ROOT)) for p in ROOT.glob("tuning/trainer/*.py")))
OTHERS = [p for p in sorted(ROOT.rglob("*.py")) if str(p.relative_to(ROOT)) not in PRINTERS]


@pytest.mark.parametrize("path", OTHERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_printed_past_the_one_place(path: Path) -> None:
    called = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = [func.id for func in called if isinstance(func, ast.Name)]
    dotted = [ast.unparse(func) for func in called if isinstance(func, ast.Attribute)]
    assert not {"print", "Console"} & set(names)
    assert not {"click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"} & set(dotted)


def test_control_characters_and_markup_are_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    say(STEERING)
    console = new_console(widest=200)
    console.print(STEERING)
    console.print(Text(STEERING))
    table = Table(STEERING)
    table.add_row(STEERING)
    console.print(table)
    out = capsys.readouterr().out
    assert out.count(SHOWN) == 4
    assert out.count(SHOWN.replace(r"\x07", "")) == 1  # rich takes the bell out of a Text by itself
    assert "\x1b" not in out


def test_a_console_with_colour_still_sends_its_own_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    console = new_console()
    with console.capture() as captured:
        console.print(Text("\x1b[2J", style="bold red"))
    assert "\\x1b[2J" in captured.get()
    assert captured.get().startswith("\x1b[")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (EnvironmentFault("x"), 3),
        (CheckFailed("x"), 1),
        (MemoryError(), 3),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."), 3),
        (ImportError("libtorch.so: failed to map segment from shared object"), 3),
        (OSError(28, "No space left on device"), 3),
        (OSError(12, "Cannot allocate memory"), 3),
        (RuntimeError("shape"), INTERNAL),
        (RecursionError("maximum recursion depth exceeded"), INTERNAL),
        (TypeError(STEERING), INTERNAL),
    ],
)
def test_every_exception_is_one_line_and_an_exit_code(error: Exception, code: int) -> None:
    message, found = explained(error)
    assert found == code
    assert "\n" not in message
    assert "\x1b" not in message


def test_a_fault_of_puretune_keeps_its_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("puretune.cli.command", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == INTERNAL
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (kept,) = tmp_path.glob("puretune-error-*.txt")
    assert str(kept) in said
    assert "deep inside" in kept.read_text()


@pytest.mark.parametrize("command", [["templates", "list"], ["schema"], ["--help"]])
def test_a_full_disk_behind_stdout_is_the_environments_fault(command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "puretune", *command], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminals_that_know_few_characters_get_escapes(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "puretune", "templates", "list"], capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    done.stdout.decode(encoding)
