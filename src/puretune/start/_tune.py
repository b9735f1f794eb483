"""Tune once, without a safety prompt, to be served with one: the study that does it, and its directory."""

from __future__ import annotations

from pathlib import Path

from puretune.errors import InputError
from puretune.files import parse_yaml, read_text
from puretune.start._draft import Draft, study_name
from puretune.store import make_directory, write_text
from puretune.study import Study
from puretune.study.spec.paths import anchored
from puretune.visible import visible

FILE = "tune.yaml"
"""The study of a tuning, in its run directory."""


def tune_study(found: Draft, data: Path, out: Path, write: bool = True) -> Study:
    """The study of one tuning; with ``write`` its file is put into the run directory.

    InputError if ``out`` holds another tuning: of other data, of another model, or edited by hand.
    """
    file, text = out / FILE, found.text(out / FILE, study_name(data), tune_only=True)
    if file.is_file() and read_text(file, "study") != text:
        raise InputError(
            f"{visible(file)} says something else: another model, data or setting, or it was edited. To run "
            f"what it says: puretune run {visible(file)} --out {visible(out)}. Or choose another --out."
        )
    if write:
        write_text(make_directory(out) / FILE, text)
        return Study.load(file)
    content, _ = parse_yaml(text, FILE)
    return Study(**anchored(content, out.absolute()))
