"""The rooms of the house: imports go one way, heavy libraries are imported where used, names resolve."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import puretune

ROOT = Path(puretune.__file__).parent
ORDER = [
    "visible",
    "names",
    "thoughts",
    "errors",
    "events",
    "memory",
    "files",
    "processes",
    "options",
    "store",
    "statistics",
    "templates",
    "data",
    "endpoints",
    "models",
    "tuning",
    "inference",
    "scoring",
    "study",
    "report",
    "deploy",
    "lab",
    "cli",
]
HEAVY = {"torch", "transformers", "peft", "datasets", "pandas", "scipy", "pyarrow", "accelerate", "trl"}
FILES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or p.stem in ORDER)


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def at_import_time(tree: ast.Module) -> Iterator[str]:
    """Modules imported when the file is: not in functions, not for type checkers only."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(ast.Module([node], []))
        elif isinstance(node, ast.Try | ast.With):
            yield from at_import_time(ast.Module(node.body, []))


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room(p) for p in FILES} <= set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    tree = ast.parse(path.read_text())
    mine = ORDER.index(room(path))
    rooms = {m.split(".")[1] for m in imported(tree) if m.startswith("puretune.")}
    below = {r for r in rooms if ORDER.index(r) > mine}
    # A command asks the lab to build itself; nothing else names the lab.
    if room(path) != "cli":
        below |= {r for r in rooms if r == "lab" and room(path) != "lab"}
    assert not below, f"{path.name} imports {sorted(below)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    tops = {m.split(".")[0] for m in at_import_time(ast.parse(path.read_text()))}
    assert not tops & HEAVY


def test_importing_puretune_and_its_rooms_loads_nothing_heavy() -> None:
    rooms = [f"puretune.{r}" for r in ORDER if (ROOT / r).is_dir() and any((ROOT / r).glob("*.py"))]
    code = f"import importlib, sys\nfor r in {rooms}: importlib.import_module(r)\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {m.split(".")[0] for m in out.split()} & HEAVY


def test_the_names_puretune_offers_exist() -> None:
    for name in puretune.__all__:
        assert getattr(puretune, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        puretune.nothing  # noqa: B018
