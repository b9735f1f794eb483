"""Studies by name: puretune's own, and those that packages offer (entry-point group ``puretune.studies``).

A study's file opens with what it asks, in a sentence, and what it costs:

    # Does PTST last? Five rounds of tuning in a row.
    # Cost: about 4 minutes on two cores.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from puretune.errors import InputError
from puretune.files import LARGEST_YAML, checked_path, read_text
from puretune.plugins import Plugins
from puretune.visible import one_line, quoted, visible

if TYPE_CHECKING:
    from puretune.study.spec.study import Study

_SHIPPED = Path(__file__).parents[2] / "studies"
_COST = "Cost: "

STUDIES: Plugins[Callable[[], Path]] = Plugins(
    "puretune.studies",
    "study",
    {
        path.relative_to(_SHIPPED).with_suffix("").as_posix(): partial(Path, path)
        for path in _SHIPPED.rglob("*.yaml")
    },
)
"""Studies by name; each is called for the path of its file."""


class StudyHead(NamedTuple):
    """How a study's file introduces itself; "" for what it does not say."""

    asks: str
    cost: str


def find_study(name: str | Path) -> Path:
    """The study file of that path or name; InputError says what was looked for."""
    path = checked_path(name, "study")
    if path.exists() and not path.is_dir():
        return path
    if str(name) in STUDIES:
        return Path(STUDIES.call(str(name)))
    raise InputError(_missing(path, study_names()))


def named_study(name: str | Path) -> Study:
    """The study of that path or name, loaded; paths in puretune's own are relative to the working
    directory."""
    from puretune.study.spec.study import Study

    path = find_study(name)
    return Study.load(path, Path.cwd() if path.is_relative_to(_SHIPPED) else None)


def study_names() -> list[str]:
    """The names of puretune's own studies and of those that installed packages offer."""
    return STUDIES.names()


def study_head(path: Path) -> StudyHead:
    """The first two comment lines of a study file; InputError if it cannot be read."""
    lines = read_text(path, "study file", LARGEST_YAML).splitlines()
    said = [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]
    cost = next((line for line in said[1:2] if line.startswith(_COST)), _COST)
    return StudyHead(said[0] if said else "", cost.removeprefix(_COST))


def _missing(path: Path, known: list[str]) -> str:
    tried = path.absolute()  # resolve() raises where links go in a circle
    if path.is_dir():
        return f"{visible(tried)} is a directory, not a study file. Give the YAML file in it."
    beside = [entry.name for entry in tried.parent.glob("*.y*ml")] if tried.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [*known, *beside], n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"no study {quoted(path)}: there is no file {one_line(tried)}, and no study of that name.{hint} "
        "`puretune studies list` names them."
    )
