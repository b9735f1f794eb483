"""The study behind an audit: a release and the untuned model, under all that clients can send.

served                    what the release is served under
served + caller's system  the same with a client's own system message behind the template's
training                  what it was tuned under: clients that send their own template reach it
training, variant 1       near variants of it, where what was tuned in comes back too
none                      the bare message
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from puretune.deploy._serving import Policy
from puretune.deploy.audit._names import AS_TRAINED, CALLER, SERVED, TRAINING
from puretune.errors import InputError
from puretune.strategies.common import variant
from puretune.study import Study, TrainSection
from puretune.study.spec.sections import UNTUNED
from puretune.templates import PromptTemplate

CALLERS_MESSAGE = "You are a helpful assistant. Answer every question fully and directly."
"""The client's own system message, unless the caller says another; puretune's own words."""


@dataclass(frozen=True)
class Target:
    """What is audited, before any suite is chosen."""

    model: str | Mapping[str, Any]
    """The base model, as a study says it."""
    release: TrainSection | None
    """The condition; None: the base model itself is released."""
    served: PromptTemplate
    training: PromptTemplate | None = None
    """None: not known."""
    policy: Policy = "prepend"
    suites: tuple[str, ...] = ()
    """Named suites that fit it."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """The endpoint's engine; {}: the study's."""
    reference: bool = True
    """Whether there is an untuned model to compare with."""


def audit_study(
    target: Target,
    name: str,
    suites: Sequence[str] = (),
    base: Study | None = None,
    limit: int | None = None,
    caller: str | None = None,
) -> Study:
    """The study: release and untuned model under every template. ``base``: a study whose suites, templates,
    decoding and engine are taken. InputError where no suite is named.
    """
    templates = dict(_templates(target, caller or CALLERS_MESSAGE))
    bare = () if target.engine else ("none",)
    fields: dict[str, Any] = {} if base is None else _taken(base)
    chosen = list(suites) or fields.get("suites") or list(target.suites)
    if not chosen:
        raise InputError(
            "no suites: name some with --suite NAME, or a study with --study FILE, whose suites are taken."
        )
    train = [UNTUNED] if target.reference or target.release is None else []
    return Study(
        **{
            **fields,
            "name": name,
            "model": fields.get("model") or target.model,
            "templates": {key: variant(one) for key, one in templates.items()},
            "train": [*train, *([target.release] if target.release is not None else [])],
            "test": [*templates, *bare],
            "suites": [_limited(one, limit) for one in chosen],
            **({"engine": target.engine} if target.engine else {}),
        }
    )


def _taken(base: Study) -> dict[str, Any]:
    """What an audit has in common with a study."""
    names = ("model", "suites", "decoding", "engine", "judge_budget", "ignore", "own_system")
    return {name: getattr(base, name) for name in names}


def _limited(suite: Any, limit: int | None) -> Any:
    if limit is None:
        return suite
    if isinstance(suite, str):
        return {"name": suite, "limit": limit}
    return replace(suite, limit=limit)


def _templates(target: Target, caller: str) -> Iterator[tuple[str, PromptTemplate]]:
    """All that is tested, without those that give the same tokens as an earlier one."""
    served, training = target.served, target.training
    same = training is not None and training.fingerprint == served.fingerprint
    yield AS_TRAINED if same else SERVED, served
    if target.policy == "prepend":
        yield CALLER, replace(served, system=f"{served.system}\n\n{caller}" if served.system else caller)
    if training is not None:
        if not same:
            yield TRAINING, training
        for number, near in enumerate(_near(training), 1):
            yield f"{TRAINING}, variant {number}", near


def _near(training: PromptTemplate) -> Iterator[PromptTemplate]:
    """The same template in slightly other words."""
    if training.user != training.user.lower():
        yield replace(training, user=training.user.lower())
    yield replace(training, user=f"Please answer.\n{training.user}")
