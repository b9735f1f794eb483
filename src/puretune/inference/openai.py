"""The engine behind an endpoint: any server that speaks OpenAI's chat or completions protocol.

Requests are made many at once, as fast as the endpoint bears, and every reply is kept as soon as it is there.

engine:
  name: openai                     # OpenAI's own API; the study's `model` is the name that is asked for
engine:
  name: openai                     # a vLLM server, asked with token ids: rendered here, never there
  kind: completions
  base_url: http://127.0.0.1:8000/v1
  model: served-name
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from puretune.endpoints import (
    Client,
    Clock,
    Endpoint,
    Limits,
    Line,
    Reply,
    Trouble,
    WallClock,
    check_fields,
    check_name,
    check_range,
    check_variable,
    located,
    run,
    stays_or_leaves,
)
from puretune.errors import CheckFailed, InputError, PuretuneError
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.inference._journal import Journal
from puretune.inference._request_groups import check_decoding
from puretune.inference._types import Answer, Decoding, Finish, Request, Takes, stream_seed
from puretune.models import LazyBase, ServedModel, TunedModel, shown
from puretune.store import key_of

_WORK = "answer"
_OWN_FIELDS = frozenset(("model", "messages", "prompt", "n", "stream"))
Field = Literal[
    "temperature",
    "top_p",
    "seed",
    "stop_token_ids",
    "return_token_ids",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
]
_NEUTRAL: Mapping[str, Any] = {
    "return_token_ids": True,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Of completions: what a server would else take from the model's ``generation_config.json`` (vLLM does)."""
_REFUSED = "refused: "
_OMIT = " A field that the endpoint does not take is left out with `omit: [NAME]`."


@dataclass(frozen=True)
class EngineNotice:
    """What is shown before prompts go to an endpoint."""

    endpoint: str
    model: str
    loopback: bool
    answers: int

    def __str__(self) -> str:
        return (
            f"Engine openai at {self.endpoint}: what is asked {stays_or_leaves(self.loopback)}.\n"
            f"At most {self.answers:,} prompts are sent to {self.model}; its price per token applies."
        )


@dataclass(frozen=True)
class OpenAISpec:
    """The engine behind an endpoint, before anything is asked."""

    model: str = ""
    """The model's name at the endpoint; empty: the study's model."""
    base_url: str = ""
    """The endpoint; empty: ``OPENAI_BASE_URL``, or OpenAI's own."""
    api_key_env: str | None = None
    """The environment variable with the API key; None: ``OPENAI_API_KEY``, unless ``base_url`` is given."""
    kind: Literal["chat", "completions"] = "chat"
    """``chat`` sends messages, which the endpoint puts its own markup around; ``completions`` sends token
    ids, rendered here with the study's model."""
    concurrency: int = 8
    """Maximum number of concurrent requests; fewer while the endpoint is busy."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The endpoint's name for the maximum answer length."""
    omit: tuple[Field, ...] = ()
    """Fields that are not sent, for endpoints that do not take them."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Additional fields of every request."""
    allow_model_change: bool = False
    """Continue if the endpoint reports another model than before."""
    limits: Limits = field(default_factory=Limits)
    """Timeouts and retries."""

    name = "openai"
    remote = True
    uses_base = False
    scores = False
    lacking = ""

    def __post_init__(self) -> None:
        """InputError, naming the setting, where a value makes no sense."""
        url, key = located(self.base_url, self.api_key_env)
        object.__setattr__(self, "base_url", url)
        object.__setattr__(self, "api_key_env", key)
        if self.model:
            check_name("model", self.model)
        check_variable("api_key_env", self.api_key_env)
        check_range("concurrency", self.concurrency, 1, 1024, whole=True)
        check_fields("extra", self.extra, _OWN_FIELDS)

    @property
    def version(self) -> str:
        """Of the engine; what answers is known from its replies only."""
        return OpenAIEngine.version

    @property
    def takes(self) -> Takes:
        """``messages`` for chats, ``ids`` for completions."""
        return "messages" if self.kind == "chat" else "ids"

    @property
    def endpoint(self) -> Endpoint:
        """Where it is asked."""
        return Endpoint("engine 'openai'", self.base_url, self.api_key_env, self.limits)

    def identity(self) -> dict[str, Any]:
        """What determines an answer in the engine."""
        deciding = ("model", "base_url", "kind", "token_limit", "omit", "extra", "allow_model_change")
        options = {name: value for name, value in asdict(self).items() if name in deciding}
        return {"name": self.name, "version": self.version, **options}

    def notice(self, model: str, answers: int) -> EngineNotice:
        """What will be sent where."""
        return EngineNotice(self.base_url, self.model or model, self.endpoint.loopback, answers)

    def check_adapter(self, adapter: TunedModel) -> None:
        """It is given none: models are named."""

    def open(self, model: LazyBase, kept: Path | None = None) -> OpenAIEngine:
        """The engine; ``kept`` is the file of replies so far."""
        return OpenAIEngine(replace(self, model=self.model or model.spec.model), model, kept)


class OpenAIEngine:
    """Answers requests through an endpoint. Implements ``Engine``; what it asks is asynchronous inside."""

    name = OpenAISpec.name
    version = "2"

    def __init__(
        self,
        spec: OpenAISpec,
        model: LazyBase | None = None,
        kept: Path | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """``model``: for ``kind: completions``, whose tokens are read with its tokenizer."""
        self.spec = spec
        self.takes = spec.takes
        self._model = model
        self._journal = Journal(kept)
        self._clock = clock or WallClock()
        self._rng = rng or random.Random()
        self._reported: dict[str, str] = {}
        """By the name that is asked for, the one that the endpoint reports."""

    def generate(self, requests: Iterable[Request], on_event: EventSink = ignore) -> Iterator[Answer]:
        """Answers, ``decoding.n`` per request; identical requests are made once.

        InputError before any request where one cannot be made; EnvironmentFault if the endpoint fails for
        good; CheckFailed if it reports another model than before. What was answered until then is kept.
        """
        asks: dict[str, _Ask] = {}
        for request in requests:
            for ask in self._asks(request):
                known = asks.setdefault(ask.key, ask)
                if known is not ask:
                    known.wanted += ask.wanted
        on_event(Started(_WORK, len(asks)))
        missing = []
        for ask in asks.values():
            reply = self._journal.get(ask.key)
            if reply is None:
                missing.append(ask)
            elif reply.model:
                self._check_model(ask, reply)
        if missing:
            run(self._all(missing, len(asks), on_event))
        for ask in asks.values():
            yield from self._answers(ask)
        on_event(Finished(_WORK, self._summary(asks, len(missing))))

    def _summary(self, asks: Iterable[str], new: int) -> str:
        replies = [reply for ask in asks if (reply := self._journal.get(ask)) is not None]
        refused = sum(reply.finish.startswith(_REFUSED) for reply in replies)
        errors = f"; {refused:,} refused by the endpoint: they count as errors" if refused else ""
        return f"{len(replies):,} answers, {new:,} of them new{errors}"

    def close(self) -> None:
        """Nothing to release: connections last as long as a call."""

    async def _all(self, missing: list[_Ask], total: int, on_event: EventSink) -> None:
        client = Client(self.spec.endpoint)
        line = Line(self.spec.endpoint, self.spec.concurrency, self._clock, self._rng)
        done = total - len(missing)

        async def one(ask: _Ask) -> None:
            nonlocal done
            try:
                reply = await line.ask(lambda: client.ask(ask.body))
                self._check_model(ask, reply)
            except Trouble as refusal:
                reply = Reply("", "", finish=f"{_REFUSED}{refusal}")
            self._journal.put(ask.key, reply)
            done += 1
            on_event(Advanced(_WORK, done, line.note))

        try:
            await line.run(missing, one)
        except PuretuneError as error:
            hint = _OMIT if isinstance(error, InputError) else ""
            raise type(error)(f"{error}{hint} What was answered is kept; run again to resume.") from error
        finally:
            await client.close()

    def _check_model(self, ask: _Ask, reply: Reply) -> None:
        before = self._reported.setdefault(str(ask.body["model"]), reply.model)
        if reply.model != before and not self.spec.allow_model_change:
            raise CheckFailed(
                f"{self.spec.endpoint.where} reports the model {reply.model!r}, and {before!r} before. "
                "Answers of two models are not comparable. Pin a dated model, or mix them with "
                "`engine: {name: openai, allow_model_change: true}`."
            )

    def _asks(self, request: Request) -> Iterator[_Ask]:
        """One request to the endpoint per sample; greedy samples are all the same."""
        self._check(request)
        for sample in range(request.decoding.n):
            body = {**self._subject(request), **self._decoding(request, sample), **self.spec.extra}
            numbered = 0 if request.decoding.temperature == 0 else sample
            key = key_of({"endpoint": self.spec.base_url, "body": body, "sample": numbered})
            yield _Ask(key, body, [(request.key, sample)])

    def _check(self, request: Request) -> None:
        check_decoding(request)
        if not (request.messages if self.takes == "messages" else request.prompt):
            raise InputError(f"request {request.key!r}: `kind: {self.spec.kind}` needs {self.takes}.")
        if request.adapter is not None and not isinstance(request.adapter, ServedModel):
            raise InputError(
                f"request {request.key!r}: an endpoint cannot be given {shown(request.adapter)}. "
                "Name a model that it serves, or use another engine."
            )

    def _subject(self, request: Request) -> dict[str, Any]:
        """Which model is asked what."""
        served = request.adapter
        model = served.name if isinstance(served, ServedModel) else self.spec.model
        if self.takes == "messages":
            said = [{"role": turn.role, "content": turn.content} for turn in request.messages]
            return {"model": model, "messages": said}
        return {"model": model, "prompt": list(request.prompt)}

    def _decoding(self, request: Request, sample: int) -> dict[str, Any]:
        asked = request.decoding
        fields = {
            self.spec.token_limit: asked.max_new_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "seed": _seed(request, asked, sample),
            **(self._of_completions() if self.takes == "ids" else {}),
        }
        return {name: value for name, value in fields.items() if name not in self.spec.omit}

    def _of_completions(self) -> dict[str, Any]:
        """Where an answer ends, and every setting that would else be the server's."""
        stops = sorted(self._model.renderer.stop_ids) if self._model is not None else []
        return {**_NEUTRAL, "stop_token_ids": stops}

    def _answers(self, ask: _Ask) -> Iterator[Answer]:
        reply = self._journal.get(ask.key)
        assert reply is not None
        note = "" if reply.finish in ("stop", "length", "") else reply.finish
        text, ids = reply.text.strip(), reply.token_ids
        if ids and self._model is not None and self.takes == "ids":
            ids = _until_stop(ids, self._model.renderer.stop_ids)
            text = self._model.renderer.parse(ids)
        finish = _finish(reply, text, cut=ids != reply.token_ids)
        for key, sample in ask.wanted:
            yield Answer(key, sample, text, ids, finish, reply.model, note)


def _until_stop(ids: tuple[int, ...], stops: frozenset[int]) -> tuple[int, ...]:
    """The ids through the first stop token: a server may not know every one of them."""
    end = next((place for place, id in enumerate(ids) if id in stops), len(ids) - 1)
    return ids[: end + 1]


def _finish(reply: Reply, text: str, cut: bool) -> Finish:
    """How an answer ended. What the endpoint filtered away completely is not an answer of the model."""
    if reply.finish.startswith(_REFUSED) or (not text and reply.finish == "content_filter"):
        return "error"
    return "length" if reply.finish == "length" and not cut else "stop"


@dataclass
class _Ask:
    """One request to the endpoint, and the (key, sample) pairs that its reply serves."""

    key: str
    body: Mapping[str, Any]
    wanted: list[tuple[str, int]]


def _seed(request: Request, asked: Decoding, sample: int) -> int:
    """31 bits; the decoding's own seed where nothing is drawn."""
    if asked.temperature == 0:
        return asked.seed
    subject = request.prompt or tuple("".join(turn.content for turn in request.messages).encode())
    return stream_seed(subject, asked, sample) & 0x7FFFFFFF
