"""The rooms of the house: imports go one way, never in a circle; a start loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import puretune

ROOT = Path(puretune.__file__).parent
ORDER = [
    "lazily",
    "visible",
    "names",
    "thoughts",
    "errors",
    "events",
    "memory",
    "files",
    "processes",
    "options",
    "plugins",
    "store",
    "statistics",
    "templates",
    "data",
    "endpoints",
    "models",
    "decoder",
    "tuning",
    "inference",
    "scoring",
    "study",
    "strategies",
    "start",
    "mechanism",
    "report",
    "deploy",
    "lab",
    "kitchen",
    "cli",
]
HEAVY = {"torch", "transformers", "peft", "datasets", "pandas", "scipy", "pyarrow", "accelerate", "trl"}
FILES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or p.stem in ORDER)
MODULES = {
    ".".join(("puretune", *p.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): p
    for p in FILES
}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def needed(tree: ast.AST, lazy: bool) -> Iterator[str]:
    """The modules of puretune that a file imports, in functions too. What is for type checkers only does not
    count, but in a ``lazy`` package it names what is imported later."""
    for node in ast.iter_child_nodes(tree):
        if not lazy and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & MODULES.keys() or {str(node.module)} & MODULES.keys()
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        else:
            yield from needed(node, lazy)


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room(p) for p in FILES} <= set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    tree = ast.parse(path.read_text())
    mine = ORDER.index(room(path))
    rooms = {m.split(".")[1] for m in imported(tree) if m.startswith("puretune.")}
    below = {r for r in rooms if ORDER.index(r) > mine}
    # Commands ask the lab and the kitchen to build themselves; nothing else names either.
    if room(path) != "cli":
        below |= {r for r in rooms if r in ("lab", "kitchen") and r != room(path)}
    assert not below, f"{path.name} imports {sorted(below)}"


def circle() -> list[str]:
    """Files that import each other in a circle, functions included; empty if there is none."""
    graph = {
        name: set(needed(ast.parse(path.read_text()), lazy=path.stem == "__init__"))
        for name, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle() == []


@pytest.mark.parametrize("room", ["decoder", "tuning/gang", "inference"])
def test_torch_is_imported_at_the_top_of_files(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                heavy = {name.split(".")[0] for name in imported(node)} & HEAVY
                assert not heavy, f"{path}, {node.name}: import {sorted(heavy)} at the top"


def test_importing_puretune_and_its_rooms_loads_nothing_heavy() -> None:
    rooms = [f"puretune.{r}" for r in ORDER if (ROOT / r).is_dir() and any((ROOT / r).glob("*.py"))]
    assert not loaded(f"import importlib\nfor r in {rooms}: importlib.import_module(r)") & HEAVY


def test_help_loads_nothing_heavy() -> None:
    code = "from puretune.cli import main\nsys.argv[1:] = ['--help']\ntry: main()\nexcept SystemExit: pass"
    assert not loaded(code) & HEAVY


def loaded(code: str) -> set[str]:
    """Names of the top-level packages that a new process has loaded after the code."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint()\nprint(*sys.modules)"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in out.splitlines()[-1].split()}


def test_the_names_puretune_offers_exist() -> None:
    for name in puretune.__all__:
        assert getattr(puretune, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        puretune.nothing  # noqa: B018
