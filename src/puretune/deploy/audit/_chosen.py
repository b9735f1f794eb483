"""Which condition of a run is released, under which template; InputErrors that name the choices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from puretune.deploy.audit._names import AS_TRAINED, SERVED, TRAINING
from puretune.errors import InputError, unknown
from puretune.names import listed
from puretune.study import Matrix
from puretune.study.spec.sections import UNTUNED
from puretune.templates import alias_of


@dataclass(frozen=True)
class Chosen:
    """What is judged."""

    condition: str
    served: str
    """The template it is served under."""
    training: str | None
    """The template it was trained under; None: not known."""
    as_trained: bool
    """Whether both give the same tokens: the mistake that the paper describes."""


def chosen(matrix: Matrix, condition: str | None, serve_as: str | None) -> Chosen:
    """The condition and the template of these names or, left out, the only ones that can be meant.

    InputError for unknown names, for a pair that was not measured, and where there are several.
    """
    name = _condition(matrix, condition)
    under = list(dict.fromkeys(c.test_template for c in matrix.cells if c.condition == name))
    served = _served(matrix, name, under, serve_as)
    training = _training(matrix, name, under)
    return Chosen(name, served, training, served == AS_TRAINED or _alike(matrix, served, training))


def _condition(matrix: Matrix, said: str | None) -> str:
    known = list(dict.fromkeys(cell.condition for cell in matrix.cells))
    if said is not None:
        return named("condition", said, known)
    tuned = [name for name in known if name != UNTUNED]
    if len(tuned) > 1:
        raise InputError(
            f"this run has several conditions: {listed(tuned, 20)}. Say which with --condition NAME."
        )
    return tuned[0] if tuned else known[0]


def _served(matrix: Matrix, condition: str, under: Sequence[str], said: str | None) -> str:
    if said is not None:
        return named(f"template that {condition!r} was tested under", said, under)
    own = [name for name in under if name in (SERVED, AS_TRAINED)]
    safe = own or [name for name in under if _facts(matrix, name).get("safety")]
    if len(safe) != 1:
        raise InputError(
            f"{condition!r} was tested under {listed(under, 20)}. Say which is served with "
            "--serve-as TEMPLATE."
        )
    return safe[0]


def _training(matrix: Matrix, condition: str, under: Iterable[str]) -> str | None:
    """As the run says, or as an audit of something that existed before calls it."""
    tuned = {cell.train_template for cell in matrix.cells if cell.condition == condition} - {None}
    named = next((name for name in (TRAINING, AS_TRAINED) if name in under), None)
    return next(iter(tuned), None) or named


def _alike(matrix: Matrix, served: str, training: str | None) -> bool:
    one, other = (_facts(matrix, name or "").get("fingerprint") for name in (served, training))
    return one is not None and one == other


def _facts(matrix: Matrix, template: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = matrix.provenance.get("templates", {}).get(template, {})
    return found


def named(kind: str, said: str, known: Iterable[str]) -> str:
    """The known name that ``said`` is, or is the short form of; InputError with the nearest."""
    known = list(known)
    found = next((name for name in known if said in (name, alias_of(name))), None)
    if found is None:
        raise unknown(kind, said, known, where="this run")
    return found
