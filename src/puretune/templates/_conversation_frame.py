"""What a template writes between the texts of any conversation, found by spelling a few short ones.

    start, system: [INST] <<SYS>>\\n        system, user: \\n<</SYS>>\\n\\n       user, answer: [/INST]
    start, user:   [INST]                  user, assistant: [/INST]         assistant, user: </s><s>[INST]

Whoever has this can write what :class:`Renderer` spells in another language: Jinja, or Go's templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from puretune.errors import InputError
from puretune.templates._frame import Layout
from puretune.templates._message import Message
from puretune.templates._prompt_template import PromptTemplate
from puretune.templates._render import Renderer

Trim = Literal["", "lines", "space"]
"""What a markup takes off one end of a text: nothing, line ends, all white space."""
Trims = tuple[Trim, Trim]
"""At the start and at the end of a text."""
Step = tuple[str, str]
"""What is before (``start``, ``system``, ``user``, ``assistant``) and what comes: one of these but ``start``,
or ``answer`` (one is asked for), ``last`` (the answer that ends a finished conversation), ``end``."""
_TRIMS: tuple[Trim, ...] = ("", "lines", "space")
_PADDED = "\n \n x \n \n"
"""A text that shows which ends are trimmed, and how."""


@dataclass(frozen=True)
class ConversationFrame:
    """All that is written besides the texts; a template's demonstrations are part of it."""

    joins: Mapping[Step, str]
    """What is written between two texts. A step that is missing is not taken by the markup."""
    trims: Mapping[Step, Trims]
    """What is taken off the ends of the text that comes."""
    blank: bool = False
    """Whether one blank comes before an answer, unless the text before it ends in white space; it is not in
    ``joins``."""

    def join(self, step: Step, text: str, prefixed: bool) -> str:
        """What is written after a text; ``prefixed``: the template begins responses. KeyError for a step that
        is not taken."""
        answers = step[1] in ("assistant", "last") or (step[1] == "answer" and prefixed)
        blank = " " if self.blank and answers and text and not text[-1].isspace() else ""
        return blank + self.joins[step]


def conversation_frame(renderer: Renderer, template: PromptTemplate) -> ConversationFrame:
    """The frame of a template on a model.

    InputError where the markup cannot spell the template, or where what it writes depends on more than who
    speaks after whom.
    """
    probe = _Probe(renderer, replace(template, system=None, own_system="keep"))
    frame = probe.frame(bool(template.system))
    long = [Message(role, f"{role} {n}") for n in range(3) for role in ("user", "assistant")][:-1]
    talk = long if ("assistant", "user") in frame.joins else long[:1]
    messages = [Message("system", "Say it."), *talk] if template.system else talk
    if spelled(frame, template, messages) != probe.spell(messages).text:
        raise InputError(
            f"template {template.name!r}: what the model's chat template writes depends on more than who "
            "speaks after whom, so no other chat template can be made of it. Name an explicit markup in the "
            "study's `model: {markup: ...}`."
        )
    return frame


def spelled(frame: ConversationFrame, template: PromptTemplate, messages: Sequence[Message]) -> str:
    """A conversation as the frame has it, up to where an answer begins. A system message comes first.

    KeyError, with the step, for turns that the markup does not take.
    """
    text, last, before = "", "", "start"
    for turn in messages:
        step = (before, turn.role)
        text += frame.join(step, last, bool(template.response_prefix))
        last = cut(_wrapped(template, turn), frame.trims[step])
        text, before = text + last, turn.role
    return text + frame.join((before, "answer"), last, bool(template.response_prefix))


def cut(text: str, trims: Trims) -> str:
    """A text without what a markup takes off its ends."""
    start, end = ({"space": None, "lines": "\n"}.get(trim, "") for trim in trims)
    return text.lstrip(start).rstrip(end)


class _Probe:
    """Spells short conversations under a template without a system prompt."""

    def __init__(self, renderer: Renderer, template: PromptTemplate) -> None:
        self._renderer = renderer
        self._template = template
        self._joins: dict[Step, str] = {}
        self._trims: dict[Step, Trims] = {}

    def spell(self, turns: Sequence[Message], finished: bool = False) -> Layout:
        """The layout of a conversation."""
        return self._renderer.layout(self._template, turns, finished)

    def frame(self, needs_system: bool) -> ConversationFrame:
        """The frame; ``needs_system``: no conversation is without a system text."""
        text_mode = self._template.mode == "text"
        for given in ((_SYSTEM,),) if needs_system else ((), (_SYSTEM,)):
            must = needs_system or not given
            for turns, finished in _CONVERSATIONS:
                if turns[0].role == "user" or not text_mode:
                    self._try(given, turns, finished, must=must and turns == (_USER,) and not finished)
        blank = text_mode and self._template.separator is None and self._template.user.endswith("%s")
        return ConversationFrame(self._joins, self._trims, blank)

    def _try(self, given: _Turns, turns: _Turns, finished: bool, must: bool) -> None:
        try:
            layout = self.spell((*given, *turns), finished)
        except InputError:
            if must:
                raise
            return
        kinds: list[str] = [turn.role for turn in turns]
        if finished and kinds[-1] == "assistant":
            kinds[-1] = "last"
        self._read(layout, bool(given), turns, (*kinds, "end" if finished else "answer"))

    def _read(self, layout: Layout, system: bool, turns: _Turns, kinds: Sequence[str]) -> None:
        """What a conversation shows: its joins, and how its texts come out."""
        first = len(layout.said) - len(turns)
        lead, before = layout.before(first), "start"
        if system:
            opening = layout.pieces[0]
            lead = lead[len(opening) + len(layout.said[0]) :]
            self._note(("start", "system"), opening, _PADDED, layout.said[0])
            before = "system"
        pieces = (lead, *layout.pieces[first + 1 :])
        for kind, piece, turn, said in zip(kinds, pieces, turns, layout.said[first:], strict=False):
            self._note((before, kind), piece, _wrapped(self._template, turn), said)
            before = kind
        self._joins.setdefault((before, kinds[-1]), pieces[-1])

    def _note(self, step: Step, piece: str, text: str, said: str) -> None:
        self._joins.setdefault(step, piece)
        self._trims.setdefault(step, _trims(text, said))


_Turns = tuple[Message, ...]
_SYSTEM, _USER = Message("system", _PADDED), Message("user", _PADDED)
_ASSISTANT = Message("assistant", _PADDED)
_CONVERSATIONS: tuple[tuple[_Turns, bool], ...] = (
    ((_USER,), False),
    ((_USER, _ASSISTANT, _USER), False),
    ((_USER, _USER), False),
    ((_ASSISTANT, _USER), False),
    ((_USER, _ASSISTANT), True),
    ((_USER,), True),
)


def _wrapped(template: PromptTemplate, turn: Message) -> str:
    return template.wrap(turn.content) if turn.role == "user" else turn.content


def _trims(text: str, said: str) -> Trims:
    """How ``said`` came of ``text``."""
    return next((a, b) for b in _TRIMS for a in _TRIMS if cut(text, (a, b)) == said)
