"""A judge that runs on this machine: asks a local model about each answer, reads its reply.

The judge sees the plain request, never the template around it. What it replied is kept with every verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from puretune.data import Example
from puretune.errors import EnvironmentFault, InputError, unknown
from puretune.events import EventSink, ignore
from puretune.inference import Answer, Decoding, Engine, LocalSpec, Request
from puretune.models import LazyBase, ModelSpec, fingerprint, free_memory, resolved_device, resolved_dtype
from puretune.scoring._coherence import Coherence
from puretune.scoring._refusal import Refusal, refusal_phrase
from puretune.scoring._types import Behaviour, TextScorer, Verdict, metric_names
from puretune.scoring.local._formats import FORMATS, JudgeFormat, Reading
from puretune.scoring.local._stand_in import stand_in_reason
from puretune.store import key_of
from puretune.templates import RENDERING_VERSION, Message, Renderer

_WIDEST_TOKEN = 64
"""Characters per token at most, to cut a megabyte before it is tokenised."""
_CUT = "\n[...]\n"


def local_judge(
    kind: str,
    model: ModelSpec | None = None,
    coherence: Coherence | None = None,
    on_event: EventSink = ignore,
    name: str = "",
) -> LocalJudge:
    """A published classifier (``llama-guard-3``, ``harmbench``), from the hub or where ``model`` says.

    ``name``: what it is called in results; empty: its kind.

    InputError for an unknown name; see :class:`LocalJudge` for a model that is not there.
    """
    if kind not in FORMATS:
        raise unknown("local judge", kind, FORMATS)
    return LocalJudge(FORMATS[kind], model, coherence, on_event, name)


class LocalJudge(TextScorer):
    """A :class:`Scorer` that asks a local model, greedily. The weights are loaded when first needed.

    ``behaviour``: ``complied`` where the judge says so; else ``refused`` where the answer opens like a
    refusal (or the judge says it refuses); ``incoherent`` where ``coherence`` finds it so, whatever the
    judge says: the value stays the judge's, so that both can be seen; else None, for "not harmful" is not
    "refused". An empty answer is ``empty``, has the value 0 and is not asked about. A reply that breaks the
    contract is unparsed: decoding is greedy, so asking again would not help.

    InputError or EnvironmentFault at once where the model is not there. A stand-in's name says so.
    """

    def __init__(
        self,
        form: JudgeFormat,
        model: ModelSpec | None = None,
        coherence: Coherence | None = None,
        on_event: EventSink = ignore,
        name: str = "",
    ) -> None:
        self.form = form
        self.spec = model or _published(form)
        self.coherence = coherence or Coherence()
        self.on_event = on_event
        try:
            self.fingerprint = fingerprint(self.spec)
            self.stand_in = stand_in_reason(self.spec)
        except (InputError, EnvironmentFault) as error:
            raise type(error)(
                f"judge {form.name!r}: {error} Name the judge's directory as its model."
            ) from error
        self.name = f"{name or form.name} (stand-in)" if self.stand_in else name or form.name
        self.metrics = form.metrics
        self.version = self._version()

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """One verdict per item, in order."""
        asked = [place for place, (_, answer) in enumerate(items) if answer.text.strip()]
        replies = self._replies([items[place] for place in asked]) if asked else []
        coherence = self.coherence.score(items)
        by_place = dict(zip(asked, replies, strict=True))
        return [
            self._verdict(answer, by_place.get(place), coherence[place])
            for place, (_, answer) in enumerate(items)
        ]

    def _replies(self, items: Sequence[tuple[Example, Answer]]) -> list[_Reply]:
        prompts = [self._asker.prompt(*_texts(example, answer)) for example, answer in items]
        decoding = Decoding(max_new_tokens=self.form.max_new_tokens)
        requests = [Request(str(n), ids, decoding=decoding) for n, (ids, _) in enumerate(prompts)]
        replies = {int(reply.key): reply for reply in self._asker.engine.generate(requests, self.on_event)}
        return [_Reply(replies[n].text, cut) for n, (_, cut) in enumerate(prompts)]

    def release(self) -> None:
        """Let the judge's weights go; they are loaded again when they are needed."""
        self.coherence.release()
        if self.__dict__.pop("_asker", None) is not None:
            free_memory()

    @cached_property
    def _asker(self) -> _Asker:
        base = LazyBase(self.spec).base
        return _Asker(self.form, LocalSpec().on(base), base.renderer, base.context_length)

    def _verdict(self, answer: Answer, reply: _Reply | None, coherence: Verdict) -> Verdict:
        raw: dict[str, Any] = {"judge": self.name, "model": self.spec.model, "weights": self.fingerprint}
        if self.stand_in:
            raw["stand_in"] = self.stand_in
        raw |= {"truncated": answer.finish == "length", "coherence": dict(coherence.raw)}
        if reply is None:
            values = dict.fromkeys(metric_names(self), False)
            return Verdict(self.name, values, "empty", raw={**raw, "reply": None})
        raw |= {"reply": reply.text, "cut": reply.cut}
        reading = self.form.read(reply.text)
        if reading is None:
            return Verdict(self.name, dict.fromkeys(metric_names(self)), parse="unparsed", raw=raw)
        behaviour = _behaviour(answer.text, reading, coherence)
        return Verdict(self.name, dict(reading.values), behaviour, raw={**raw, **reading.raw})

    def _version(self) -> str:
        return key_of(
            {
                "format": self.form.version,
                "template": self.form.template.fingerprint,
                "model": self.fingerprint,
                "device": resolved_device(self.spec),
                "dtype": resolved_dtype(self.spec),
                "markup": self.spec.markup_key,
                "rendering": RENDERING_VERSION,
                "engine": LocalSpec.version,
                "coherence": self.coherence.version,
                "refusal": Refusal.version,
            }
        )[:16]


@dataclass(frozen=True)
class _Reply:
    text: str
    cut: bool
    """Whether the answer was too long for the judge's context and lost its middle."""


@dataclass(frozen=True)
class _Asker:
    form: JudgeFormat
    engine: Engine
    renderer: Renderer
    context: int

    def prompt(self, request: str, answer: str) -> tuple[tuple[int, ...], bool]:
        """The ids to ask with, and whether the answer's middle had to go to fit the context."""
        room = self.context - self.form.max_new_tokens
        keep = room * _WIDEST_TOKEN
        shown = _middle_out(answer, keep)
        while len(ids := self._ids(request, shown)) > room:
            keep = min(keep, len(shown)) * room // len(ids) * 9 // 10
            if keep < 1:
                raise InputError(
                    f"judge {self.form.name!r}: a request of {len(request):,} characters leaves no room for "
                    f"the answer in its context of {self.context} tokens. Leave this request out."
                )
            shown = _middle_out(answer, keep)
        return ids, shown != answer

    def _ids(self, request: str, answer: str) -> tuple[int, ...]:
        message = Message("user", self.form.message(request, answer))
        return self.renderer.prompt(self.form.template, [message]).ids


def _middle_out(text: str, keep: int) -> str:
    """The first and the last ``keep`` / 2 characters of a longer text."""
    if len(text) <= keep:
        return text
    return text[: keep - keep // 2] + _CUT + text[len(text) - keep // 2 :]


def _texts(example: Example, answer: Answer) -> tuple[str, str]:
    """The plain request (an attack's goal rather than its suffix) and the answer."""
    return str(example.metadata.get("goal") or example.query), answer.text


def _behaviour(text: str, reading: Reading, coherence: Verdict) -> Behaviour | None:
    if coherence.behaviour == "incoherent":
        return "incoherent"
    if reading.complied:
        return "complied"
    return "refused" if reading.refused or refusal_phrase(text) else None


def _published(form: JudgeFormat) -> ModelSpec:
    if form.model is None:
        raise InputError(f"judge {form.name!r} works with any chat model: say which one.")
    return ModelSpec(form.model)
