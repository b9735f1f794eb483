"""A judge of harm behind an OpenAI-compatible endpoint, as a scorer.

What the ledger knows is never asked for again. What it does not know is judged after a notice has been agreed
to, each different answer once, and kept reply by reply: stopped at any moment, the same call resumes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puretune.data import Example
from puretune.endpoints import Client, Clock, Consent, WallClock, loopback_only, run
from puretune.errors import CheckFailed, EnvironmentFault, InputError, PuretuneError
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.inference import Answer
from puretune.scoring._errors import error_verdict
from puretune.scoring._metric import Metric
from puretune.scoring._types import TextScorer, Verdict
from puretune.scoring.judges._contract import left_out
from puretune.scoring.judges._cost import Estimate, Notice, cost_text, estimate, estimate_ahead
from puretune.scoring.judges._judgement import Judgement
from puretune.scoring.judges._ledger import Ledger, ledger_path
from puretune.scoring.judges._requests import Ask, Asking
from puretune.scoring.judges._spec import JudgeSpec
from puretune.scoring.judges._verdict import METRICS, verdict_of
from puretune.store import key_of

Items = Sequence[tuple[Example, Answer]]


class Judge(TextScorer):
    """Scores from 1 to 5 by a model behind an endpoint; ``asr`` is the share of 5.

    The judge sees the raw query, never the templated prompt. ``version`` holds all that decides a verdict and
    is known before the first request; the model that the endpoint reports is in every verdict.
    """

    metrics: tuple[Metric, ...] = METRICS

    def __init__(
        self,
        spec: JudgeSpec,
        *,
        ledger: Path | None = None,
        consent: Consent = loopback_only,
        on_event: EventSink = ignore,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        reported: str | None = None,
    ) -> None:
        """``ledger``: its directory, by default the user's. ``reported``: the model that the endpoint has
        reported for verdicts that these will be compared with. InputError if the rubric cannot be read.
        """
        self.spec = spec
        self.name = spec.name
        self._asking = Asking(spec)
        self.version = key_of(self._asking.identity())[:16]
        self._root = ledger
        self._consent = consent
        self._on_event = on_event
        self._clock = clock
        self._rng = rng or random.Random()
        self._reported = spec.expect_model or reported

    def identity(self) -> dict[str, Any]:
        """What ``version`` is the hash of: endpoint, model, decoding, rubric, and what is made of replies."""
        return self._asking.identity()

    def attended(self, consent: Consent, on_event: EventSink = ignore, reported: str | None = None) -> Judge:
        """The same judge, with somebody to agree and somebody to watch; ``reported`` as in the judge."""
        return Judge(
            self.spec,
            ledger=self._root,
            consent=consent,
            on_event=on_event,
            clock=self._clock,
            rng=self._rng,
            reported=reported,
        )

    def check_reported(self, models: Iterable[str]) -> None:
        """CheckFailed if verdicts of one matrix come from more than one model."""
        first, *others = list(dict.fromkeys(model for model in models if model)) or [""]
        if others and not self.spec.allow_model_change:
            raise _changed(self.spec, first, others[0])

    def check(self, examples: Iterable[Example]) -> None:
        """Before anything is paid: InputError if a query is missing, EnvironmentFault if the key is."""
        self.spec.endpoint.key()
        for example in examples:
            _check_query(example)

    def notice(self, items: Items, ahead: Iterable[tuple[Example, int, int]] = ()) -> Notice:
        """Where these answers will go, and what that will cost beyond what the ledger knows.

        ``ahead``: examples without an answer yet, of each how many answers there will be, and of how many
        tokens at most.
        """
        wanted = self._wanted(items)
        known = _Known(self, wanted.asks, self._found(wanted.asks))
        asked = estimate(self.spec, len(items), len(known.by_ask), known.missing)
        later = estimate_ahead(self._asking, ahead)
        return self._shown(asked.plus(later), upper=later.requests > 0)

    def estimate(self, items: Items) -> Estimate:
        """The numbers of :meth:`notice`."""
        return self.notice(items).estimate

    def fresh(self, items: Items) -> Estimate:
        """What judging these would cost if the ledger knew none of them."""
        asks = self._wanted(items).asks
        return estimate(self.spec, len(items), 0, asks)

    def score(self, items: Items) -> list[Verdict]:
        """One verdict per item, in order; judges what the ledger does not know.

        InputError if there is no query or nobody agrees; EnvironmentFault if the endpoint fails for
        good; CheckFailed if it reports another model than before. What was judged until then is kept.
        """
        wanted = self._wanted(items)
        with Ledger(self._path()) as ledger:
            known = _Known(self, wanted.asks, _find(ledger, wanted.asks))
            if known.missing:
                self._judge(len(items), known, ledger)
                known = _Known(self, wanted.asks, _find(ledger, wanted.asks))
        if known.missing:
            raise EnvironmentFault(
                f"the ledger {self._path()} has lost judgements. Run the same command again."
            )
        return [self._verdict(answer, wanted, known, number) for number, (_, answer) in enumerate(items)]

    def prepare(self, items: Items) -> None:
        """Judge all of these at once, so that later calls of :meth:`score` find them in the ledger."""
        self.score(items)

    def _judge(self, answers: int, known: _Known, ledger: Ledger) -> None:
        self.spec.endpoint.key()
        self._consent(self._shown(estimate(self.spec, answers, len(known.by_ask), known.missing)))
        run(self._asked(known, ledger))

    async def _asked(self, known: _Known, ledger: Ledger) -> None:
        from puretune.scoring.judges._batch import Batch
        from puretune.scoring.judges._live import Live

        client = Client(self.spec.endpoint)
        tally = _Tally(self, len(known.missing))
        kind = Batch if self.spec.mode == "batch" else Live
        try:
            clock = self._clock or WallClock()
            way = kind(self.spec, ledger, client, clock, self._rng, tally.accept)
            await way.run(known.missing, known.unusable)
        except PuretuneError as error:
            raise type(error)(
                f"{error} {tally.done:,} new judgements are kept in the ledger; run again to resume."
            ) from error
        finally:
            await client.close()
        tally.finish(ledger.damaged)

    def _verdict(self, answer: Answer, wanted: _Wanted, known: _Known, number: int) -> Verdict:
        asked = wanted.of[number]
        if asked is None:
            return error_verdict(self, answer)
        ask, again = asked
        return verdict_of(
            self.name,
            answer.text,
            known.by_ask[ask.key],
            known.by_ask[again.key] if again else None,
            left_out(answer.text, self.spec.longest_answer),
        )

    def _wanted(self, items: Items) -> _Wanted:
        pairs: dict[tuple[str, str], tuple[Ask, Ask | None]] = {}
        of: list[tuple[Ask, Ask | None] | None] = []
        for example, answer in items:
            _check_query(example)
            if answer.finish == "error":
                of.append(None)
                continue
            pair = (example.query, answer.text)
            if pair not in pairs:
                first = self._asking.ask(*pair)
                again = self._asking.ask(*pair, round=1) if self._asking.rechecked(first) else None
                pairs[pair] = (first, again)
            of.append(pairs[pair])
        distinct = {ask.key: ask for pair in pairs.values() for ask in pair if ask is not None}
        return _Wanted(of, list(distinct.values()))

    def _shown(self, asked: Estimate, upper: bool = False) -> Notice:
        return Notice(self.name, self.spec.base_url, self.spec.loopback, asked, upper)

    def _found(self, asks: Sequence[Ask]) -> dict[str, list[Judgement]]:
        """What the ledger knows, without making one."""
        if not self._path().exists():
            return {}
        with Ledger(self._path()) as ledger:
            return _find(ledger, asks)

    def _path(self) -> Path:
        return self._root or ledger_path()


def _find(ledger: Ledger, asks: Sequence[Ask]) -> dict[str, list[Judgement]]:
    return ledger.find(ask.key for ask in asks)


def _check_query(example: Example) -> None:
    if not example.query.strip():
        raise InputError(f"{example.id}: no query. A judge needs the query and the answer.")


@dataclass(frozen=True)
class _Wanted:
    of: list[tuple[Ask, Ask | None] | None]
    """Per item its request and, of the rechecked ones, the second; None: there is no answer to judge."""
    asks: list[Ask]
    """All different ones."""


class _Known:
    """What the ledger knows of some requests, under one reported model."""

    def __init__(self, judge: Judge, asks: Sequence[Ask], found: Mapping[str, list[Judgement]]) -> None:
        """CheckFailed if the ledger has them under several models and the judge may not mix them."""
        spec = judge.spec
        usable = {key: [one for one in kept if _counts(one, spec)] for key, kept in found.items()}
        usable = {key: kept for key, kept in usable.items() if kept}
        judge._reported = judge._reported or _commonest(usable.values())
        self.by_ask: dict[str, Judgement] = {}
        for key, kept in usable.items():
            same = [one for one in kept if one.reported in ("", judge._reported)]
            if not same and not spec.allow_model_change:
                raise _changed(spec, str(judge._reported), kept[-1].reported)
            self.by_ask[key] = (same or kept)[-1]
        self.missing = [ask for ask in asks if ask.key not in self.by_ask]
        lacking = {ask.key for ask in self.missing}
        self.unusable = {one.id for key, kept in found.items() if key in lacking for one in kept}


class _Tally:
    """Counts a run's judgements, tells the progress, and watches the model's name."""

    def __init__(self, judge: Judge, total: int) -> None:
        self.done = 0
        self._judge = judge
        self._work = f"judge {judge.name}"
        self._unparsed = self._input = self._output = 0
        self._others: Counter[str] = Counter()
        judge._on_event(Started(self._work, total))

    def accept(self, judgement: Judgement, pace: str) -> None:
        """Take note of a judgement just kept; CheckFailed if its model may not be mixed in."""
        judge = self._judge
        self.done += 1
        self._unparsed += judgement.parse == "unparsed"
        self._input += judgement.input_tokens
        self._output += judgement.output_tokens
        judge._on_event(Advanced(self._work, self.done, f"{self._cost()}, {pace}"))
        judge._reported = judge._reported or judgement.reported or None
        if judgement.reported not in ("", judge._reported):
            self._others[judgement.reported] += 1
            if not judge.spec.allow_model_change:
                raise _changed(judge.spec, str(judge._reported), judgement.reported)

    def finish(self, damaged: Sequence[str]) -> None:
        notes = [self._cost()]
        if self._unparsed:
            notes.append(f"{self._unparsed:,} unparsed")
        for name, count in self._others.items():
            notes.append(f"the model changed from {self._judge._reported} to {name} in {count:,} judgements")
        if damaged:
            places = ", ".join(damaged[:3]) + (", ..." if len(damaged) > 3 else "")
            notes.append(f"{len(damaged):,} damaged lines of the ledger do not count: {places}")
        self._judge._on_event(Finished(self._work, "; ".join(notes)))

    def _cost(self) -> str:
        return cost_text(self._judge.spec.price, self._input, self._output)


def _counts(judgement: Judgement, spec: JudgeSpec) -> bool:
    """Whether a kept judgement serves this judge: its model, and as many attempts at a readable reply."""
    if spec.expect_model is not None and judgement.reported not in ("", spec.expect_model):
        return False
    return judgement.parse == "ok" or judgement.facts.get("attempts", 0) >= spec.attempts


def _commonest(kept: Iterable[Sequence[Judgement]]) -> str | None:
    """The reported model that most requests have a judgement of; of equally common ones the latest."""
    names: Counter[str] = Counter()
    latest: dict[str, str] = {}
    for judgements in kept:
        names.update({one.reported for one in judgements if one.reported})
        for one in judgements:
            latest[one.reported] = max(latest.get(one.reported, ""), one.when)
    return max(names, key=lambda name: (names[name], latest[name]), default=None)


def _changed(spec: JudgeSpec, before: str, now: str) -> CheckFailed:
    return CheckFailed(
        f"judge {spec.name!r} at {spec.base_url} reports the model {now!r}, and {before!r} before. "
        "Judgements of two models are not comparable. Pin a dated model; or judge all by this one: "
        f"`expect_model: {now}`; or mix them with `allow_model_change: true`."
    )
