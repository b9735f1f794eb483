"""One judgement as it was paid for, and its line in the ledger.

No query and no answer is in it in words, only what the judge wrote about them:

    {"sha256": "...", "judgement": {"ask": "...", "reported": "gpt-4-0613", "score": 5, ...}}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from puretune.scoring._types import Behaviour, Parse
from puretune.store import canonical, key_of


@dataclass(frozen=True)
class Judgement:
    """One judgement as it was paid for: the judge's words, what was read from them, and what they cost."""

    ask: str
    """Key of the request as it was sent, and of the endpoint (see :class:`Ask`)."""
    reported: str
    """The model's name as the endpoint reported it."""
    score: int | None
    parse: Parse
    behaviour: Behaviour | None = None
    reason: str = ""
    replies: tuple[str, ...] = ()
    """The judge's replies word for word; all but the last could not be read."""
    problem: str = ""
    """Why there is no score."""
    input_tokens: int = 0
    output_tokens: int = 0
    """As the endpoint counted them, over all replies."""
    when: str = ""
    """UTC, ISO 8601."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Endpoint, requested model, decoding, rubric, and digests of query and answer."""

    @property
    def id(self) -> str:
        """The judgement's identity: the request and the model that was reported."""
        return key_of({"ask": self.ask, "reported": self.reported})


def to_line(judgement: Judgement) -> bytes:
    """The judgement as a line of a segment, its digest in front."""
    text = canonical(judgement)
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()
    return f'{{"sha256":"{digest}","judgement":{text}}}\n'.encode("ascii")


def from_line(line: bytes) -> Judgement | None:
    """The judgement in a line; None if the line is not what was written."""
    try:
        value = json.loads(line)
        text = canonical(value["judgement"])
        if hashlib.sha256(text.encode("ascii")).hexdigest() != value["sha256"]:
            return None
        known = {one.name for one in fields(Judgement)}
        facts = {name: given for name, given in value["judgement"].items() if name in known}
        judgement = Judgement(**{**facts, "replies": tuple(facts["replies"])})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return judgement if _is_sound(judgement) else None


def _is_sound(one: Judgement) -> bool:
    """Whether the fields that are compared and counted are of their types."""
    texts = (one.ask, one.reported, one.when, one.reason, one.problem, *one.replies)
    counts = (one.input_tokens, one.output_tokens, *([] if one.score is None else [one.score]))
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(count, int) and 0 <= count < 2**63 for count in counts)
        and one.parse in get_args(Parse)
        and one.behaviour in (None, *get_args(Behaviour))
        and isinstance(one.facts, Mapping)
    )
