"""Studies by name: packages offer them through the entry-point group ``puretune.studies``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from puretune.errors import InputError
from puretune.files import checked_path
from puretune.plugins import Plugins
from puretune.visible import one_line, quoted, visible

if TYPE_CHECKING:
    from puretune.study.spec.study import Study

STUDIES: Plugins[Callable[[], Path]] = Plugins("puretune.studies", "study")
"""Studies that installed packages offer; each is called for the path of its file."""


def find_study(name: str | Path) -> Path:
    """The study file of that path or name; InputError says what was looked for."""
    path = checked_path(name, "study")
    if path.exists() and not path.is_dir():
        return path
    if str(name) in STUDIES:
        return Path(STUDIES.call(str(name)))
    raise InputError(_missing(path, study_names()))


def named_study(name: str | Path) -> Study:
    """The study of that path or name, loaded."""
    from puretune.study.spec.study import Study

    return Study.load(find_study(name))


def study_names() -> list[str]:
    """The names that installed packages offer."""
    return STUDIES.names()


def _missing(path: Path, known: list[str]) -> str:
    tried = path.absolute()  # resolve() raises where links go in a circle
    if path.is_dir():
        return f"{visible(tried)} is a directory, not a study file. Give the YAML file in it."
    beside = [entry.name for entry in tried.parent.glob("*.y*ml")] if tried.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [*known, *beside], n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"no study {quoted(path)}: there is no file {one_line(tried)}, and no installed package offers "
        f"that name.{hint} Named studies: {', '.join(known) or 'none'}."
    )
