"""What a markup writes around the texts of the turns, and whether the texts came through as they are.

    <|im_start|>user\\n  HOW MANY?  <|im_end|>\\n<|im_start|>assistant\\n  TWO.  <|im_end|>\\n

is a frame of three pieces around two texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from puretune.templates._message import GUARD, MARK, Message


@dataclass(frozen=True)
class Layout:
    """A spelled conversation: the frame's pieces, one more than turns, and the texts as they came out."""

    pieces: tuple[str, ...]
    said: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(chain.from_iterable(zip_longest(self.pieces, self.said, fillvalue="")))

    def before(self, place: int) -> str:
        """All that comes before the text of the turn at ``place``."""
        return Layout(self.pieces[: place + 1], self.said[:place]).text


def pieces_of(marked: str, turns: int) -> tuple[str, ...] | None:
    """The frame, from a spelling with ``MARK`` in place of each text; None if one is not there once."""
    pieces = tuple(marked.split(MARK))
    return pieces if len(pieces) == turns + 1 else None


def laid_out(text: str, pieces: tuple[str, ...], turns: Sequence[Message]) -> Layout | None:
    """How the turns appear in ``text``: as they are, or without white space around them; else None."""
    said: list[str] = []
    at = len(pieces[0])
    if not text.startswith(pieces[0]):
        return None
    for turn, after in zip(turns, pieces[1:], strict=True):
        found = next((t for t in _trimmings(turn.content) if text.startswith(t + after, at)), None)
        if found is None:
            return None
        said.append(found)
        at += len(found) + len(after)
    return Layout(pieces, tuple(said)) if at == len(text) else None


def _trimmings(text: str) -> tuple[str, ...]:
    """The text as it is, and without the white space, or the line ends, at its start, its end or both."""
    starts = (text, text.lstrip("\n"), text.lstrip())
    return tuple(dict.fromkeys(cut for one in starts for cut in (one, one.rstrip("\n"), one.rstrip())))


def trimmed(turns: Sequence[Message], said: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each message that lost white space, in plain words."""
    notes = []
    for turn, left in zip(turns, said, strict=True):
        if left != turn.content:
            start, end = turn.content[:24].replace(GUARD, ""), turn.content[-24:].replace(GUARD, "")
            where = repr(start) if not turn.content.startswith(left) else repr(end)
            notes.append(
                f"the model's chat template trims white space around the {turn.role} message ({where}). "
                "Use an explicit markup to keep it."
            )
    return tuple(dict.fromkeys(notes))


@dataclass(frozen=True)
class Addition:
    """Words of a frame that belong to no markup."""

    piece: int
    text: str
    is_system: bool
    """Whether it is in a system turn that was not requested."""


_ROLES = frozenset(
    [
        "system",
        "user",
        "assistant",
        "model",
        "human",
        "ai",
        "bot",
        "chatbot",
        "developer",
        "tool",
        "function",
        "instruction",
        "response",
        "input",
        "output",
        "question",
        "answer",
        "prompt",
        "observation",
        "environment",
        "ipython",
        "gpt",
        "final",
        "analysis",
        "commentary",
        "问",
        "答",
        "用户",
        "助手",
    ]
)
_SPEAKERS = frozenset({"system", "user", "assistant", "human", "ai", "bot"})
_TAG = r"<+[^<>\s]*>+|\[[^\[\]\s]*\]"


def addition(
    pieces: Sequence[str], roles: Sequence[str], generation: bool, tokens: Iterable[str]
) -> Addition | None:
    """The first words that a frame adds beyond turn markup: special tokens, tags, names of roles.

    ``tokens``: spellings of the tokenizer's own tokens.
    """
    spelled = "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True) if token)
    breaks = re.compile(f"({spelled}|{_TAG}|\\n)" if spelled else f"({_TAG}|\\n)")
    for number, piece in enumerate(pieces):
        follows = roles[number] if number < len(roles) else "assistant" if generation else ""
        chunks = breaks.split(piece)[::2]
        own_system = "system" not in roles and any(
            _word(chunk) in ("system", "developer") for chunk in chunks
        )
        words = [c for n, c in enumerate(chunks) if not _is_label(c, follows if n + 1 == len(chunks) else "")]
        if words or own_system:
            return Addition(number, _span(piece, words) or piece, own_system)
    return None


def _word(chunk: str) -> str:
    words = re.findall(r"\w+", chunk)
    return words[0].lower() if len(words) == 1 else ""


def _is_label(chunk: str, follows: str) -> bool:
    """Whether a chunk is empty, or names who speaks; ``follows``: the role of the text right after it."""
    words = [word.lower() for word in re.findall(r"\w+", chunk)]
    if not words or (len(words) == 1 and words[0] in _ROLES):
        return True
    if not follows or not chunk.rstrip().endswith((":", "：")):
        return False
    return (len(words) <= 3 and words[-1] in _SPEAKERS) or (len(words) == 1 and follows == "assistant")


def _span(piece: str, words: Sequence[str]) -> str:
    """From the first to the last of the added words."""
    if not words:
        return ""
    end = piece.rindex(words[-1]) + len(words[-1])
    return piece[piece.index(words[0]) : end]
