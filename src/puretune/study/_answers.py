"""Answers and verdicts, shard by shard: prompts rendered, asked, published; then scored, published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from puretune.data import Example
from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, Event, EventSink, Finished, Started, ignore
from puretune.inference import Answer, Decoding, Engine, Request
from puretune.models import AdapterRef, adapter_ref
from puretune.scoring import Judge, Scorer, Verdict, reads_options
from puretune.store import Store
from puretune.study._beside import beside
from puretune.study._judging import items_of, prepared
from puretune.study._plan import ADAPTER, ANSWERS, VERDICTS, AnswerStep, DrawStep, Plan, ScoreStep, Who
from puretune.study._resolve import ResolvedSuite
from puretune.templates import Message, PromptTemplate, Renderer, api_turns

POOL = 8
"""Shards that are asked together, and at most lost together."""

_WORTH_TWO_PROCESSES = 8
"""Pools from which on a second process is worth its start."""

_WRITERS = 4
"""Threads that publish: they wait for the disk, hardly for the processor."""


class Prompts:
    """Every prompt under every test template, rendered once: as token ids, or as turns for an endpoint."""

    def __init__(self, plan: Plan, renderer: Callable[[], Renderer]) -> None:
        """``renderer`` is not asked for where prompts are turns."""
        self._suites = suites_of(plan)
        self._templates = {template.name: template for _, template in plan.resolved.cells}
        self._takes = plan.resolved.engine.takes
        self._renderer = renderer
        self._known: dict[tuple[str, str], list[tuple[int, ...]]] = {}
        self._shared: dict[str, int] = {}

    def of(self, step: AnswerStep) -> list[tuple[int, ...]]:
        """The prompts of one shard."""
        return self._all(step.test_template, step.suite)[step.first : step.first + step.prompts]

    def requests(
        self, step: AnswerStep, adapter: AdapterRef | None, decoding: Decoding, place: int
    ) -> Iterator[Request]:
        """One request per prompt of a shard; keys say the shard's ``place`` and the prompt's in the shard."""
        if self._takes == "messages":
            for number, turns in enumerate(self.turns(step)):
                yield Request(f"{place}/{number}", (), adapter, decoding, turns)
            return
        shared = self.shared(step.test_template)
        for number, ids in enumerate(self.of(step)):
            yield Request(f"{place}/{number}", ids, adapter, decoding, shared=shared)

    def turns(self, step: AnswerStep) -> list[tuple[Message, ...]]:
        """The prompts of one shard for an engine that takes messages.

        InputError for a template that an endpoint cannot be asked under.
        """
        template = self._templates[step.test_template]
        return [api_turns(template, e.prompt_messages) for e in shard_of(step, self._suites)]

    def check(self, steps: Iterable[AnswerStep], context: Callable[[], int]) -> None:
        """InputError for the first prompt that cannot be asked.

        It is too long for ``context`` tokens with its answer, or no turns for an endpoint. How much one
        behind an endpoint can read is the endpoint's to say.
        """
        if self._takes == "messages":
            for step in steps:
                self.turns(step)
            return
        self._check_lengths(steps, context())

    def _check_lengths(self, steps: Iterable[AnswerStep], context: int) -> None:
        for step in steps:
            new = self._suites[step.suite].decoding.max_new_tokens
            for example, ids in zip(shard_of(step, self._suites), self.of(step), strict=True):
                if len(ids) + new > context:
                    raise InputError(
                        f"suite {step.suite!r}, prompt {example.id!r}: {len(ids)} tokens under template "
                        f"{step.test_template!r} and up to {new} new ones do not fit into the model's "
                        f"context of {context}. Shorten or remove the query, or lower max_new_tokens."
                    )

    def shared(self, template: str) -> int:
        """Leading tokens that all prompts under a template have in common."""
        if template not in self._shared:
            every = [ids for suite in self._suites for ids in self._all(template, suite)]
            first, last = min(every), max(every)  # what these have in common, all in between have
            pairs = enumerate(zip(first, last, strict=False))
            self._shared[template] = next((at for at, (a, b) in pairs if a != b), len(first))
        return self._shared[template]

    def _all(self, template: str, suite: str) -> list[tuple[int, ...]]:
        if (template, suite) not in self._known:
            rendered = [self._ids(self._templates[template], suite, e) for e in self._suites[suite].examples]
            self._known[template, suite] = rendered
        return self._known[template, suite]

    def _ids(self, template: PromptTemplate, suite: str, example: Example) -> tuple[int, ...]:
        try:
            return self._renderer().prompt(template, example.prompt_messages).ids
        except InputError as error:
            raise InputError(f"suite {suite!r}, prompt {example.id!r}: {error}") from error


def suites_of(plan: Plan) -> dict[str, ResolvedSuite]:
    """The plan's suites by name."""
    return {suite.name: suite for suite in plan.resolved.suites}


def shard_of(step: AnswerStep, suites: Mapping[str, ResolvedSuite]) -> tuple[Example, ...]:
    """The examples of one shard."""
    return suites[step.suite].examples[step.first : step.first + step.prompts]


def answer(
    plan: Plan,
    store: Store,
    engine: Engine,
    steps: Sequence[AnswerStep],
    prompts: Prompts,
    on_event: EventSink,
    in_two: bool = False,
) -> None:
    """Ask pool by pool: the shards of one adapter under one test template share their batches.

    The shards of a pool are published one after the other when all are done, so that a run that was killed
    asks the same pools again, in the same batches, as one that was not. ``in_two``: every other pool in a
    second process, where there are many.
    """
    suites, pools = suites_of(plan), _pools(steps)
    asked = sum(step.prompts * suites[step.suite].decoding.n for pool in pools for step in pool)
    progress = _Progress(asked, on_event)

    def ask(some: Iterable[list[AnswerStep]], progress: _Progress) -> None:
        _ask(plan, store, engine, some, prompts, progress)

    if in_two and len(pools) >= _WORTH_TWO_PROCESSES:
        others = pools[1::2]
        with beside(lambda sink: ask(others, _Progress(0, sink)), progress.beside):
            ask(pools[::2], progress)
        pools = [pool for pool in others if not all(store.has(ANSWERS, step.key) for step in pool)]
    ask(pools, progress)
    progress.finish(asked)


def answer_untuned(
    plan: Plan, store: Store, engine: Engine, steps: Sequence[AnswerStep], prompts: Prompts
) -> Iterator[None]:
    """Ask what needs no adapter that is tuned here, one pool for each item that is taken."""
    for pool in _pools([step for step in steps if step.who.adapter is None]):
        _ask(plan, store, engine, [pool], prompts, _Progress(0, ignore))
        yield


def _ask(
    plan: Plan,
    store: Store,
    engine: Engine,
    pools: Iterable[list[AnswerStep]],
    prompts: Prompts,
    progress: _Progress,
) -> None:
    suites = suites_of(plan)
    with _publishing(store) as publish:
        for pool in pools:
            started = time.monotonic()
            adapter = adapter_of(plan, store, pool[0].who)
            requests = _requests(pool, suites, prompts, adapter)
            answers = progress.watch(engine.generate(requests, progress.note), pool)
            each = (time.monotonic() - started) / sum(step.prompts for step in pool)
            for step, of_step in zip(pool, answers, strict=True):
                rows = _rows(of_step, shard_of(step, suites), suites[step.suite].decoding.n)
                publish(ANSWERS, step.key, rows, {"seconds": round(each * step.prompts, 3)})


def _pools(steps: Iterable[AnswerStep]) -> list[list[AnswerStep]]:
    """The shards of each adapter and test template, in their order, at most ``POOL`` together."""
    together: dict[tuple[Who, str], list[AnswerStep]] = {}
    for step in {step.key: step for step in steps}.values():
        together.setdefault((step.who, step.test_template), []).append(step)
    return [shards[i : i + POOL] for shards in together.values() for i in range(0, len(shards), POOL)]


def _requests(
    pool: Sequence[AnswerStep],
    suites: Mapping[str, ResolvedSuite],
    prompts: Prompts,
    adapter: AdapterRef | None,
) -> list[Request]:
    """All prompts of a pool."""
    return [
        request
        for place, step in enumerate(pool)
        for request in prompts.requests(step, adapter, suites[step.suite].decoding, place)
    ]


@contextmanager
def _publishing(store: Store) -> Iterator[Callable[..., None]]:
    """``put_lines`` that does not wait for the disk; all is published when the block ends without an error,
    and what was given away before an error as well."""
    with ThreadPoolExecutor(_WRITERS) as writers:
        under_way: list[Future[Any]] = []

        def publish(*content: Any) -> None:
            for one in [one for one in under_way if one.done()]:
                under_way.remove(one)
                one.result()
            under_way.append(writers.submit(store.put_lines, *content))

        yield publish
        for one in under_way:
            one.result()


def score(plan: Plan, store: Store, on_event: EventSink) -> None:
    """Score the shards that have no verdict yet; every answer of the plan is in the store by now."""
    missing = [step for step in plan.score if not store.has(VERDICTS, step.key)]
    missing = list({step.key: step for step in missing}.values())
    if not missing:
        return
    suites, shards = suites_of(plan), {step.key: step for step in plan.answer}
    scorers = {scorer.name: scorer for suite in suites.values() for scorer in suite.scorers}
    scorers |= {judge.name: judge for judge in prepared(plan, store, on_event)}
    on_event(Started("score", len(missing)))
    with _publishing(store) as publish:
        for number, step in enumerate(missing, 1):
            shard = shards[step.answers]
            verdicts = _judge(scorers[step.scorer], shard_of(shard, suites), answers_of(shard, store))
            publish(VERDICTS, step.key, verdicts)
            on_event(Advanced("score", number))
    on_event(Finished("score"))


def check_scorers(plan: Plan) -> None:
    """InputError, before anything is generated, where a scorer cannot use an example of its suite.

    Every example is scored once with an empty answer; judges behind endpoints are checked elsewhere.
    """
    for suite in plan.resolved.suites:
        for scorer in suite.scorers:
            if isinstance(scorer, Judge):
                continue
            try:
                if reads_options(scorer):
                    scorer.check(suite.examples)
                else:
                    scorer.score([(example, Answer("", 0, "", (), "stop")) for example in suite.examples])
            except InputError as error:
                raise InputError(f"suite {suite.name!r}: {error}") from error


def answers_of(step: AnswerStep, store: Store) -> list[dict[str, Any]]:
    """The stored answers of one shard, prompts in their order, then samples."""
    kept = store.get(ANSWERS, step.key)
    if kept is None:
        raise EnvironmentFault(f"{store.path(ANSWERS, step.key)} has gone. Run the same command again.")
    return kept.lines()


def verdicts_of(step: ScoreStep | DrawStep, store: Store) -> list[dict[str, Any]]:
    """The stored verdicts of one scorer on one shard, in the order of the answers."""
    kept = store.get(VERDICTS, step.key)
    if kept is None:
        raise EnvironmentFault(f"{store.path(VERDICTS, step.key)} has gone. Run the same command again.")
    return kept.lines()


class _Progress:
    def __init__(self, total: int, on_event: EventSink) -> None:
        self._done = self._beside = 0
        self._on_event = on_event
        on_event(Started("answer", total))

    def watch(self, answers: Iterable[Answer], pool: Sequence[AnswerStep]) -> list[list[Answer]]:
        """The answers of each shard of the pool."""
        who = pool[0].who
        name = who.condition if who.seed is None else f"{who.condition} seed {who.seed}"
        seen: list[list[Answer]] = [[] for _ in pool]
        for one in answers:
            place, _, number = one.key.partition("/")
            seen[int(place)].append(replace(one, key=number))
            self._done += 1
            suite = pool[int(place)].suite
            self._say(f"{name} -> {pool[0].test_template}, {suite}")
        return seen

    def beside(self, event: Event) -> None:
        """How far a second process is."""
        if isinstance(event, Advanced):
            self._beside = event.done
            self._say(event.note)

    def note(self, event: Event) -> None:
        """Pass on what the engine has to say; it counts only its own pool."""
        if isinstance(event, Advanced) and event.note:
            self._say(event.note)

    def finish(self, total: int) -> None:
        self._on_event(Finished("answer", f"{total:,} answers"))

    def _say(self, note: str) -> None:
        self._on_event(Advanced("answer", self._done + self._beside, note))


def adapter_of(plan: Plan, store: Store, who: Who) -> AdapterRef | None:
    """Who answers, as the engine takes it: a tuned or an existing adapter; None: the base alone."""
    if who.adapter is None:
        return next(way for way, _ in plan.resolved.cells if way.name == who.condition).existing
    kept = store.get(ADAPTER, who.adapter)
    if kept is None:
        raise EnvironmentFault(f"{store.path(ADAPTER, who.adapter)} has gone. Run the same command again.")
    return adapter_ref(kept.directory)


def _rows(answers: Iterable[Answer], examples: Sequence[Example], n: int) -> list[dict[str, Any]]:
    """Answers as they are stored, in the order of the prompts whatever order they came in."""
    ordered = sorted(answers, key=lambda one: (int(one.key), one.sample))
    expected = [(number, sample) for number in range(len(examples)) for sample in range(n)]
    if [(int(one.key), one.sample) for one in ordered] != expected:
        raise EnvironmentFault("the engine did not return one answer per prompt and sample. Run again.")
    return [
        {
            "prompt_id": examples[int(one.key)].id,
            "sample": one.sample,
            "text": one.text,
            "token_ids": list(one.token_ids),
            "finish": one.finish,
            **({"reported": one.reported} if one.reported else {}),
            **({"note": one.note} if one.note else {}),
        }
        for one in ordered
    ]


def _judge(scorer: Scorer, shard: Iterable[Example], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    verdicts = scorer.score(items_of(shard, answers))
    return [verdict_row(row, verdict) for row, verdict in zip(answers, verdicts, strict=True)]


def verdict_row(answer: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    """A verdict as it is stored, beside the stored answer it is about."""
    return {
        "prompt_id": answer["prompt_id"],
        "sample": answer["sample"],
        "scorer": verdict.scorer,
        "values": dict(verdict.values),
        "behaviour": verdict.behaviour,
        "parse": verdict.parse,
        "raw": dict(verdict.raw),
    }
