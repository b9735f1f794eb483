"""What is asked: one request per different (query, answer), under a key that names it as it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from puretune.scoring._refusal import Refusal
from puretune.scoring.judges._contract import CONTRACT_VERSION, messages
from puretune.scoring.judges._rubric import OWN, Rubric, load_rubric
from puretune.scoring.judges._spec import JudgeSpec
from puretune.store import key_of


@dataclass(frozen=True)
class Ask:
    """A request to a judge.

    ``key`` is the hash of the endpoint and of the whole request: model, decoding, and the messages, which
    hold rubric, query and answer as the judge sees them. The model that answers is known only afterwards; it
    is part of the judgement's identity.
    """

    key: str
    body: Mapping[str, Any]
    facts: Mapping[str, Any]
    """What a judgement records about its request."""


class Asking:
    """Makes the requests of one judge."""

    def __init__(self, spec: JudgeSpec) -> None:
        """InputError if the rubric cannot be read."""
        self.spec = spec
        self.rubric: Rubric = load_rubric(spec.rubric) if spec.rubric else OWN

    def identity(self) -> dict[str, Any]:
        """Everything that decides a verdict and is known before the first request."""
        spec = self.spec
        return {
            "contract": CONTRACT_VERSION,
            "refusal": Refusal.version,
            "endpoint": spec.base_url,
            "model": spec.model,
            "decoding": spec.decoding,
            "rubric": self.rubric.fingerprint,
            "longest_answer": spec.longest_answer,
            "attempts": spec.attempts,
            "expect_model": spec.expect_model,
            "allow_model_change": spec.allow_model_change,
            "recheck": spec.recheck,
        }

    def ask(self, query: str, answer: str, round: int = 0) -> Ask:
        """The request about one answer. ``round`` 1 is the second, independent judgement of a recheck."""
        spec = self.spec
        shown = messages(self.rubric, query, answer, spec.longest_answer)
        body = {"model": spec.model, "messages": shown, **spec.decoding}
        key = key_of({"endpoint": spec.base_url, "body": body, "round": round})
        facts = {
            "endpoint": spec.base_url,
            "model": spec.model,
            "decoding": spec.decoding,
            "rubric": self.rubric.fingerprint,
            "contract": CONTRACT_VERSION,
            "query_sha256": _digest(query),
            "answer_sha256": _digest(answer),
            "round": round,
        }
        return Ask(key, body, facts)

    def rechecked(self, ask: Ask) -> bool:
        """Whether an answer belongs to the share that is judged twice: the same ones in every run."""
        draw = int(hashlib.sha256(f"recheck {ask.key}".encode()).hexdigest()[:13], 16)
        return draw < self.spec.recheck * 16**13


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
