"""``results.json``: the image of a matrix, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from puretune.errors import InputError
from puretune.files import checked_path, read_json
from puretune.scoring import Better, Measure
from puretune.statistics import Conclusion
from puretune.store import json_text
from puretune.study.matrix.matrix import SCHEMA_VERSION, Matrix
from puretune.study.matrix.run_directory import sound_file
from puretune.visible import one_line, visible

RESULTS = "results.json"
LARGEST = 512 * 2**20
"""Bytes of a results file: its sample transcripts are the largest part."""


def results_text(matrix: Matrix) -> str:
    """The matrix as JSON text; equal cells give equal bytes."""
    content = asdict(matrix)
    del content["run"]
    return json_text(content, indent=1) + "\n"


def load_results(path: Path | str) -> Matrix:
    """The matrix in a ``results.json`` (or in a run directory); InputError if it is not one.

    CheckFailed if it is not the file that the run in its directory wrote.
    """
    place = checked_path(path, "run directory")
    file = place / RESULTS if place.is_dir() else place
    if not file.exists():
        raise InputError(f"{visible(file)}: no such file. A finished `puretune run` writes it.")
    if file.name == RESULTS:
        sound_file(file.parent, RESULTS)
    matrix = matrix_from(read_json(file, "results file", largest=LARGEST), visible(file))
    return replace(matrix, run=file.parent) if (file.parent / "answers.jsonl").is_file() else matrix


def matrix_from(content: Any, where: str) -> Matrix:
    """The matrix of which ``content`` is the image; fields added by later versions are passed over.

    InputError, opening with ``where`` and naming the key, for a value of another type than a run writes.
    """
    version = content.get("schema_version") if isinstance(content, Mapping) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{where}: schema_version is {one_line(version, 40)}, not {SCHEMA_VERSION}. Run the study again, "
            "or use the version of puretune that wrote it."
        )
    try:
        named = {key: value for key, value in content.items() if key != "run"}
        return _reader().validate_json(json.dumps(named), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{where}: not a results file of puretune: {one_line(key, 80)}: {one_line(first['msg'])}. "
            "Run the study again."
        ) from None
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{where}: not a results file of puretune: {one_line(error)}. Run the study again."
        ) from None


@cache
def _reader() -> TypeAdapter[Matrix]:
    """Checks every field of every dataclass in a matrix."""
    made: TypeAdapter[Matrix] = TypeAdapter(Matrix)
    made.rebuild(_types_namespace={"Better": Better, "Measure": Measure, "Conclusion": Conclusion})
    return made
