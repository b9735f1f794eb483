r"""Coherence, measured: does an answer say anything, whatever it says?

    repetition      share of an answer's 4-grams that repeat earlier ones      "and so and so and so ..."
    perplexity      under the untuned base, of the answer alone               "colour under the the sevenly"
    unknown_words   share of words that a given lexicon does not have         "blorp the frim"

Each has a limit. What was not measured is named in every verdict: without an engine and without a lexicon
only repetition is seen, and an answer that is not found incoherent has not been shown to be coherent.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.models import BaseModel
from puretune.scoring._metric import Metric
from puretune.scoring._perplexity import LazyMeter, Meter, perplexity_meter
from puretune.scoring._types import Behaviour, ScoredBase, TextScorer, Verdict
from puretune.store import key_of

# Scripts that are written without blanks between words: each of their characters is a unit.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_UNIT = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+|[^\w\s]")
_WORD = re.compile(r"[^\W\d_]+")
_GRAM = 4
_LOOKED_AT = 50_000
"""Characters of an answer that repetition and lexicon look at."""


@dataclass(frozen=True)
class Limits:
    """What is above a limit is incoherent.

    The default for repetition is above every one of GSM8K's 8,792 solutions (highest: 0.38) and of 5,452
    ChatDoctor answers (0.14). There is no default perplexity: it depends on the base; see ``calibrated``.
    """

    repetition: float = 0.5
    """Share of repeated 4-grams, 0 to 1."""
    perplexity: float | None = None
    """Per token; None: perplexity is reported, not judged."""
    unknown_words: float = 0.3
    """Share of words outside the lexicon, 0 to 1; without a lexicon it is not measured."""


@dataclass(frozen=True)
class Coherence(TextScorer):
    """The share of incoherent answers, by stated limits. Empty answers are ``empty``, not incoherent.

    ``meter`` measures perplexity, ``lexicon`` (words in lower case) knows the words; both may be left out. An
    answer whose perplexity was asked for and could not be had (NaN) is unparsed unless something else shows
    it to be incoherent.
    """

    name = "coherence"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("incoherent_rate", "Incoherent answers", "incoherence"),)
    limits: Limits = field(default_factory=Limits)
    meter: Meter | None = None
    lexicon: frozenset[str] | None = None

    def open(self, base: ScoredBase) -> Self:
        """The same on a study's base model: a perplexity limit without a meter is one under this base."""
        if self.limits.perplexity is None or self.meter is not None:
            return self
        if base.directory is None:
            raise InputError(
                f"scorer {self.name!r} measures answers under the base model, and only an endpoint has "
                f"{base.spec.model!r}. Leave its `perplexity` out, or use an engine that holds the model."
            )
        return replace(self, meter=LazyMeter(base.spec, base.fingerprint))

    def release(self) -> None:
        """Let the meter's model go, where it has loaded one itself."""
        if self.meter is not None:
            self.meter.release()

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """One verdict per item; ``raw`` keeps what was measured, the limits, and why."""
        texts = [answer.text for _, answer in items]
        perplexities = self._perplexities(texts)
        return [self._verdict(text, value) for text, value in zip(texts, perplexities, strict=True)]

    def _perplexities(self, texts: Sequence[str]) -> list[float | None]:
        said = [place for place, text in enumerate(texts) if text.strip()]
        found: list[float | None] = [None] * len(texts)
        if self.meter is not None and said:
            for place, value in zip(said, self.meter.measure([texts[p] for p in said]), strict=True):
                found[place] = value
        return found

    def _verdict(self, text: str, perplexity: float | None) -> Verdict:
        if not text.strip():
            return Verdict(self.name, {"incoherent_rate": False}, "empty", raw={"measured": {}})
        measured = {
            "repetition": repetition(text),
            "perplexity": perplexity,
            "unknown_words": None if self.lexicon is None else unknown_words(text, self.lexicon),
        }
        limits = asdict(self.limits)
        why = [
            name
            for name, value in measured.items()
            if value is not None and limits[name] is not None and value > limits[name]
        ]
        raw = {
            "measured": measured,
            "limits": limits,
            "why": why,
            "not_measured": [name for name, value in measured.items() if value is None],
        }
        behaviour: Behaviour | None = "incoherent" if why else None
        if not why and self._failed(text, perplexity):
            return Verdict(self.name, {"incoherent_rate": None}, parse="unparsed", raw=raw)
        return Verdict(self.name, {"incoherent_rate": bool(why)}, behaviour, raw=raw)

    def _failed(self, text: str, perplexity: float | None) -> bool:
        """Whether a perplexity that a limit needs is missing (of one token there is none)."""
        several = len(_UNIT.findall(text[:_LOOKED_AT])) > 1
        return (
            self.meter is not None and self.limits.perplexity is not None and several and perplexity is None
        )

    @cached_property
    def version(self) -> str:  # type: ignore[override]
        """The hash of limits, meter and lexicon."""
        inputs: dict[str, Any] = {"coherence": 1, "limits": asdict(self.limits)}
        if self.meter is not None:
            inputs["meter"] = self.meter.identity
        if self.lexicon is not None:
            inputs["lexicon"] = sorted(self.lexicon)
        return key_of(inputs)[:16]


def calibrated(
    texts: Iterable[str],
    base: BaseModel | None = None,
    lexicon: frozenset[str] | None = None,
    false_alarms: float = 0.01,
) -> Coherence:
    """A :class:`Coherence` whose limits come from texts that are known to be coherent.

    Of new texts from the same source, each measure calls at most the share ``false_alarms`` incoherent, on
    average over draws of the reference texts. The repetition limit is never below its default. InputError
    if there are too few texts for that share.

    Source: the split-conformal quantile, the ceil((n + 1)(1 - share))-th smallest of n values (Vovk,
    Gammerman & Shafer 2005, Algorithmic Learning in a Random World, chapter 2).
    """
    reference = [text for text in texts if text.strip()]
    meter = perplexity_meter(base) if base is not None else None
    perplexities = [value for value in meter.measure(reference) if value is not None] if meter else []
    unknown = [unknown_words(text, lexicon) for text in reference] if lexicon is not None else []
    usual = Limits()
    limits = Limits(
        repetition=max(usual.repetition, _quantile([repetition(t) for t in reference], false_alarms)),
        perplexity=_quantile(perplexities, false_alarms) if meter else None,
        unknown_words=_quantile(unknown, false_alarms) if lexicon is not None else usual.unknown_words,
    )
    return Coherence(limits, meter, lexicon)


def repetition(text: str) -> float:
    """The share of 4-grams that repeat earlier ones, 0 to 1. Units are words, marks, and single
    characters of scripts without blanks; 0 below five units."""
    units = _UNIT.findall(text[:_LOOKED_AT].casefold())
    grams = list(zip(*(units[start:] for start in range(_GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def unknown_words(text: str, lexicon: frozenset[str]) -> float:
    """The share of words that are not in ``lexicon``, 0 to 1; 1 for a text without a word or a number."""
    start = text[:_LOOKED_AT].casefold()
    words = _WORD.findall(start)
    if not words:
        return 0.0 if re.search(r"\d", start) else 1.0
    return sum(word not in lexicon for word in words) / len(words)


def read_lexicon(path: Path) -> frozenset[str]:
    """A lexicon from a JSON file: a list of words. InputError if it is not one."""
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"lexicon {path} cannot be read: {error}") from error
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise InputError(f"lexicon {path}: it must be a JSON list of words.")
    return frozenset(word.casefold() for word in words)


def with_coherence(verdicts: Sequence[Verdict], coherence: Sequence[Verdict]) -> list[Verdict]:
    """A judge's verdicts with what was measured of the same answers: incoherent ones are called so.

    Values and parse states stay the judge's. InputError if the two are not about as many answers.
    """
    if len(verdicts) != len(coherence):
        raise InputError(f"{len(verdicts)} verdicts and {len(coherence)} coherence verdicts: give as many.")
    return [_joined(verdict, found) for verdict, found in zip(verdicts, coherence, strict=True)]


def _joined(verdict: Verdict, found: Verdict) -> Verdict:
    known = found.behaviour == "incoherent" and verdict.parse == "ok"
    behaviour = "incoherent" if known else verdict.behaviour
    raw: Mapping[str, Any] = {**verdict.raw, "coherence": dict(found.raw)}
    return Verdict(verdict.scorer, verdict.values, behaviour, verdict.parse, raw)


def _quantile(values: Sequence[float], share: float) -> float:
    rank = math.ceil((len(values) + 1) * (1 - share))
    if rank > len(values):
        raise InputError(
            f"{len(values)} reference texts cannot set a limit that {share:.1%} of texts exceed: give at "
            f"least {math.ceil(1 / share) - 1}, or allow more false alarms."
        )
    return sorted(values)[rank - 1]
