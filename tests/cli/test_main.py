"""The program as a whole: help, version, exit codes, where output goes."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import puretune
from tests.fuzz.program import ask


def puretune_program(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "puretune", *arguments], capture_output=True, text=True, cwd=cwd
    )


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['puretune', '--help']\nfrom puretune.cli import main\n"
    code += "try: main()\nfinally: print('torch' in sys.modules, 'transformers' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    for name in (
        "show",
        "demo",
        "run",
        "compare",
        "templates",
        "data",
        "score",
        "judge",
        "schema",
        "lab",
        "export",
    ):
        assert f"  {name} " in out
    assert "False False" in out


def test_every_command_explains_itself() -> None:
    for name in (
        "show",
        "demo",
        "run",
        "compare",
        "templates",
        "data",
        "score",
        "judge",
        "schema",
        "lab",
        "export",
    ):
        done = puretune_program(name, "--help")
        assert done.returncode == 0, done.stderr
        assert "Usage: " in done.stdout


def test_an_unknown_command_is_told_with_the_nearest() -> None:
    done = puretune_program("comprae", "runs/mine")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown command 'comprae'. Did you mean 'compare'?" in done.stderr


def test_version() -> None:
    assert puretune_program("--version").stdout.strip() == f"puretune {puretune.__version__}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("templates", "show", "chat:lama"), "Did you mean 'chat:llama'"),
        (("templates", "list", "--file", "absent.yaml"), "absent.yaml: no such template file"),
        (("run", "absent.yaml"), "absent.yaml"),
        (("lab", "build", "--seed", "1", "--set", "gray=0"), "Did you mean 'grey'"),
        (("lab", "build", "--seed", "1", "--set", "grey"), "KEY=NUMBER"),
        (("nonsense",), "nonsense"),
    ],
)
def test_wrong_input_is_one_clear_message_on_stderr_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = puretune_program(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_reader_of_the_output_may_leave() -> None:
    command = f"{sys.executable} -m puretune templates list | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("schema --out pipe", 2, "pipe is a device or a pipe; a file is needed here"),
        ("score answers.jsonl --scorer refusal --force --out pipe", 2, "pipe is a device or a pipe"),
        ("run pipe --dry-run", 2, "pipe: a device or a pipe, not a study file"),
        ("run circle --dry-run", 2, "no study 'circle': there is no file"),
        ("demo --model circle --out run", 2, "circle"),
        ("score answers.jsonl --scorer refusal --out circle", 2, "circle exists. Choose another --out"),
        ("judge answers.jsonl --judge refusal --out circle", 2, "circle exists. Choose another --out"),
        ("lab build --seed 1 --out circle", 2, "circle exists. Name another directory"),
        ("compare answers.jsonl", 2, "answers.jsonl: a file, not a run. Give the directory"),
        ("run lab-demo --out answers.jsonl", 2, "--out answers.jsonl is a file. Name a directory"),
        ("run lab-demo --out answers.jsonl/run", 3, "a part of this path is a file, not a directory"),
    ],
)
def test_what_is_no_ordinary_file_is_named(tmp_path: Path, command: str, code: int, said: str) -> None:
    (tmp_path / "answers.jsonl").write_text('{"query": "q", "answer": "a"}\n')
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    with contextlib.chdir(tmp_path):
        ended = ask(*command.split())
    assert ended.code == code
    assert said in ended.err
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
