r"""The part of an answer that a user sees: what stands behind the model's thoughts.

    <think>Is it safe? No.</think>I can't help.                                    I can't help.
    Is it safe? No.</think>I can't help.            (the prompt opened the thoughts)   I can't help.
    <|channel|>analysis<|message|>...<|channel|>final<|message|>I can't help.      I can't help.
    analysisIs it safe? No.assistantfinalI can't help.     (special tokens left out)   I can't help.
    <think>Is it safe? Let me                                                      (no answer yet)

Scorers and judges are given this part and no other. Thoughts that never end leave an empty answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from puretune.data import Example
from puretune.inference import Answer

THOUGHTS_VERSION = "1"
"""Changes whenever another part of the same answer could be scored."""

Thoughts = Literal["none", "cut", "unclosed"]
"""``cut``: there were thoughts, and the answer behind them is scored; ``unclosed``: they never ended."""

_TAGS = (
    *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "thoughts", "reasoning")),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
)
_OPEN = "|".join(re.escape(one) for one, _ in _TAGS)
_CLOSE = "|".join(re.escape(one) for _, one in _TAGS)
_QUOTED = "`'\"\u201c\u201d\u2018\u2019"
_OPENED = re.compile(rf"\s*(?P<tag>{_OPEN})")
_LINE_OPENED = re.compile(rf"^[ \t]*(?P<tag>{_OPEN})", re.MULTILINE)
_CLOSED = re.compile(rf"(?<![{_QUOTED}])(?:{_CLOSE})(?![{_QUOTED}])")
_CLOSE_OF = dict(_TAGS)
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
    state: Thoughts


def split(text: str) -> Split:
    """The thoughts of an answer, and the answer behind them. A text without thoughts is its own answer."""
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


def answer_part(answer: Answer) -> Answer:
    """The same answer with the text that is scored."""
    found = split(answer.text)
    return answer if found.answer == answer.text else replace(answer, text=found.answer)


def shown(items: Iterable[tuple[Example, Answer]]) -> list[tuple[Example, Answer]]:
    """What scorers and judges are given of answers."""
    return [(example, answer_part(answer)) for example, answer in items]


def thoughts_sentence(counts: Mapping[str, int]) -> str:
    """What was left out of answers, in one sentence; nothing where there were no thoughts."""
    cut, unclosed = counts.get("cut", 0), counts.get("unclosed", 0)
    if not cut + unclosed:
        return ""
    said = f"Of {cut + unclosed:,} answers with thoughts only the part behind the thoughts is scored"
    return f"{said}; {unclosed:,} never ended their thoughts and count as empty." if unclosed else f"{said}."


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


def _inner(rest: str, thoughts: str, state: Thoughts) -> Split:
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
    """Messages of OpenAI's harmony format: the answer is what stands in the channel ``final``."""
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
