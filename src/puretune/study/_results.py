"""``results.json``: the image of a matrix, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from puretune.errors import InputError
from puretune.scoring import Measure
from puretune.store import json_text
from puretune.study._directory import sound_file
from puretune.study._matrix import (
    SCHEMA_VERSION,
    CellResult,
    JudgeAgreement,
    Matrix,
    PooledCell,
    SampleVerdict,
    Transcript,
)

RESULTS = "results.json"
_Value = TypeVar("_Value")


def results_text(matrix: Matrix) -> str:
    """The matrix as JSON text; equal cells give equal bytes."""
    return json_text(asdict(matrix), indent=1) + "\n"


def load_results(path: Path | str) -> Matrix:
    """The matrix in a ``results.json`` (or in a run directory); InputError where it is not one.

    CheckFailed where it is not the file that the run in its directory wrote.
    """
    file = Path(path) / RESULTS if Path(path).is_dir() else Path(path)
    if file.name == RESULTS:
        sound_file(file.parent, RESULTS)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: no such file. A finished `puretune run` writes it.") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{file}: not readable as JSON: {error}.") from None
    return matrix_from(content, str(file))


def matrix_from(content: Any, where: str) -> Matrix:
    """The matrix of which ``content`` is the image; fields added by later versions are passed over."""
    version = content.get("schema_version") if isinstance(content, Mapping) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{where}: schema_version is {version!r}, not {SCHEMA_VERSION}. Run the study again, or use the "
            "version of puretune that wrote it."
        )
    try:
        parts = {
            "cells": tuple(_value(CellResult, cell) for cell in content["cells"]),
            "pooled": tuple(_value(PooledCell, cell) for cell in content["pooled"]),
            "transcripts": tuple(_transcript(sample) for sample in content["transcripts"]),
            "measures": tuple(_value(Measure, one) for one in content["measures"]),
            "agreements": tuple(_value(JudgeAgreement, one) for one in content.get("agreements", ())),
            **{key: tuple(content[key]) for key in ("conditions", "test_templates", "suites")},
        }
        return _value(Matrix, {**content, **parts})
    except (KeyError, TypeError) as error:
        raise InputError(f"{where}: not a results file of puretune ({error}). Run the study again.") from None


def _transcript(content: Mapping[str, Any]) -> Transcript:
    verdicts = tuple(_value(SampleVerdict, one) for one in content["verdicts"])
    return _value(Transcript, {**content, "verdicts": verdicts})


def _value(kind: type[_Value], content: Mapping[str, Any]) -> _Value:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in content.items() if key in known})
