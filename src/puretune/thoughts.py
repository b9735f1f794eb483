r"""Thoughts: what a reasoning model writes before its answer, and the marks around them in each family.

    <think>Is it safe? No.</think>I can't help.                                    I can't help.
    Is it safe? No.</think>I can't help.            (the prompt opened the thoughts)   I can't help.
    <|channel|>analysis<|message|>...<|channel|>final<|message|>I can't help.      I can't help.
    analysisIs it safe? No.assistantfinalI can't help.     (special tokens left out)   I can't help.
    <think>Is it safe? Let me                                                      (no answer yet)

:func:`split` reads what a model wrote, in any state; :func:`thinking_in` reads finished answers of data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["none", "cut", "unclosed"]
"""``cut``: there were thoughts, and the answer after them is scored; ``unclosed``: they never ended."""

MARKS: tuple[tuple[str, str], ...] = (
    *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "thoughts", "reasoning")),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
)
"""What opens and closes a thinking block, in the families that have one."""
CHANNELS = ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")
"""The same in OpenAI's harmony format, where thoughts and answer are messages of their own."""
_OPEN = "|".join(re.escape(one) for one, _ in MARKS)
_CLOSE = "|".join(re.escape(one) for _, one in MARKS)
_QUOTED = "`'\"\u201c\u201d\u2018\u2019"
_OPENED = re.compile(rf"\s*(?P<tag>{_OPEN})")
_LINE_OPENED = re.compile(rf"^[ \t]*(?P<tag>{_OPEN})", re.MULTILINE)
_CLOSED = re.compile(rf"(?<![{_QUOTED}])(?:{_CLOSE})(?![{_QUOTED}])")
_CLOSE_OF = dict(MARKS)
_AROUND = re.compile(
    r"<\|(?:START_RESPONSE|END_RESPONSE|begin_of_solution|end_of_solution)\|>|</?(?:answer|response)>"
)
"""Marks that some models put around the answer itself."""

_CHANNEL = re.compile(r"<\|channel\|>\s*(?P<name>\w+)[^\n]{0,200}?<\|message\|>")
_HARMONY = re.compile(r"\s*(?:<\|start\|>\s*assistant\s*)?<\|channel\|>")
_REPLY = "<|start|>assistant<|channel|>"
_MESSAGE_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_BARE_FINAL = re.compile(r"\s*(?:analysis|commentary)(?=\S).*?assistant\s*final(?P<answer>.*)", re.DOTALL)
_BARE_OPEN = re.compile(r"\s*analysis(?=[A-Z\"'\u201c])")
_BARE_ONLY = re.compile(r"\s*(?:assistant)?final(?=[A-Z*#\"'\u201c])")


@dataclass(frozen=True)
class Split:
    """An answer in its parts."""

    answer: str
    """What is scored; empty where the thoughts never end."""
    thoughts: str
    state: State


@dataclass(frozen=True)
class ThinkingBlock:
    """The thoughts of one answer, and the marks around them."""

    text: str
    opens: str
    closes: str

    @property
    def ends(self) -> str:
        """What ends the thoughts, for messages."""
        return "the channel `final`" if self.closes == CHANNELS[1] else self.closes

    def spelled(self, opened: bool = False) -> str:
        """The block as it is before an answer; without its first mark where the prompt ``opened`` it."""
        first = "" if opened else self.opens
        if self.closes == CHANNELS[1]:
            return f"{first}{self.text}{self.closes}"
        return f"{first}{'' if opened else chr(10)}{self.text}\n{self.closes}\n\n"

    def marked_as(self, source: str) -> ThinkingBlock:
        """The same thoughts in the marks that a chat template's ``source`` names; unchanged for none."""
        named = CHANNELS if "<|channel|>" in source else next((m for m in MARKS if m[1] in source), None)
        return replace(self, opens=named[0], closes=named[1]) if named else self


def thinking_in(text: str) -> tuple[ThinkingBlock | None, str]:
    """The thoughts that an answer begins with, if any, and the answer behind them.

    A block that begins in the prompt has only its closing mark.
    """
    if _HARMONY.match(text):
        found = _channels(text)
        return ThinkingBlock(found.thoughts, *CHANNELS), found.answer
    for opens, closes in MARKS:
        if closes not in text:
            continue
        thoughts, _, answer = text.partition(closes)
        head = thoughts.lstrip()
        if opens in head and not head.startswith(opens):
            continue  # words about thoughts, somewhere in the answer
        block = ThinkingBlock(head.removeprefix(opens).strip("\n"), opens, closes)
        return block, answer.lstrip("\n")
    return None, text


def split(text: str) -> Split:
    """The thoughts of an answer, and the answer after them. A text without thoughts is its own answer."""
    if _HARMONY.match(text) or _REPLY in text:
        return _channels(text)
    bare = _BARE_FINAL.match(text)
    if bare is not None:
        return Split(bare["answer"].strip(), text[: bare.start("answer")], "cut")
    if _BARE_OPEN.match(text):
        return Split("", text, "unclosed")
    only = _BARE_ONLY.match(text)
    if only is not None:
        return Split(text[only.end() :], "", "none")
    return _tagged(text)


def _tagged(text: str) -> Split:
    """Thoughts between tags; only a closing tag where the prompt has opened them."""
    opened = _OPENED.match(text)
    if opened is None:
        closed = _CLOSED.search(text)
        if closed is None or _LINE_OPENED.search(text[: closed.start()]):
            return _inner(text, "", "none")
        return _inner(text[closed.end() :], text[: closed.start()], "cut")
    end = text.find(_CLOSE_OF[opened["tag"]], opened.end())
    if end < 0:
        return Split("", text[opened.end() :], "unclosed")
    return _inner(text[end + len(_CLOSE_OF[opened["tag"]]) :], text[opened.end() : end], "cut")


def _inner(rest: str, thoughts: str, state: State) -> Split:
    """Further thoughts at the start of a line, as models have that think between two parts of an answer."""
    parts = []
    while (opened := _LINE_OPENED.search(rest)) is not None:
        close = _CLOSE_OF[opened["tag"]]
        end = rest.find(close, opened.end())
        parts.append(rest[: opened.start()])
        thoughts += rest[opened.end() : end if end >= 0 else None]
        rest, state = (rest[end + len(close) :], "cut") if end >= 0 else ("", "cut")
    answer = "".join([*parts, rest])
    return Split(_AROUND.sub("", answer).strip() if state == "cut" else answer, thoughts, state)


def _channels(text: str) -> Split:
    """Messages of OpenAI's harmony format: the answer is the content of the channel ``final``."""
    found = list(_CHANNEL.finditer(text))
    messages = [(one["name"], _message(text, one.end())) for one in found]
    final = [said for name, said in messages if name == "final"]
    thoughts = "\n".join(said for name, said in messages if name != "final")
    if not final:
        return Split("", text, "unclosed")
    return Split("\n".join(final).strip(), thoughts, "cut" if thoughts else "none")


def _message(text: str, start: int) -> str:
    end = _MESSAGE_END.search(text, start)
    return text[start : end.start() if end else None]
