"""The prompts of a plan: every query under every test template, rendered once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Decoding, Request
from puretune.models import TunedModel
from puretune.study.plan.shards import shard_of, suites_of
from puretune.study.plan.steps import AnswerStep, Plan
from puretune.templates import Message, PromptTemplate, Renderer, api_turns


class Prompts:
    """Every prompt under every test template, rendered once: as token ids, or as turns for an endpoint."""

    def __init__(self, plan: Plan, renderer: Callable[[], Renderer]) -> None:
        """``renderer`` is not asked for where prompts are turns."""
        self._suites = suites_of(plan)
        written = [rows.template for rows in plan.resolved.written.values()]
        tested = [template for _, template in plan.resolved.cells]
        self._templates = {template.name: template for template in (*written, *tested)}
        self._tests = [suite.name for suite in plan.resolved.suites]
        self._takes = plan.resolved.engine.takes
        self._renderer = renderer
        self._known: dict[tuple[str, str], list[tuple[int, ...]]] = {}
        self._shared: dict[tuple[str, tuple[str, ...]], int] = {}

    def of(self, step: AnswerStep) -> list[tuple[int, ...]]:
        """The prompts of one shard."""
        return self._all(step.test_template, step.suite)[step.first : step.first + step.prompts]

    def requests(
        self, step: AnswerStep, adapter: TunedModel | None, decoding: Decoding, place: int
    ) -> Iterator[Request]:
        """One request per prompt of a shard; keys say the shard's ``place`` and the prompt's in the shard."""
        if self._takes == "messages":
            for number, turns in enumerate(self.turns(step)):
                yield Request(f"{place}/{number}", (), adapter, decoding, turns)
            return
        shared = self.shared(step)
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
        behind an endpoint can read is for the endpoint to say.
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

    def shared(self, step: AnswerStep) -> int:
        """Leading tokens that all test prompts under the step's template have in common; where it is about
        rows, all these rows."""
        suites = tuple(self._tests if step.suite in self._tests else [step.suite])
        place = step.test_template, suites
        if place not in self._shared:
            every = [ids for suite in suites for ids in self._all(step.test_template, suite)]
            first, last = min(every), max(every)  # what these have in common, all in between have
            pairs = enumerate(zip(first, last, strict=False))
            self._shared[place] = next((at for at, (a, b) in pairs if a != b), len(first))
        return self._shared[place]

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
