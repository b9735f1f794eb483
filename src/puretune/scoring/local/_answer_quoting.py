r"""Keeping an answer from speaking to the judge.

Special tokens that an answer spells stay text: the renderer's guard sees to that. What is left is plain text
that the judge's own prompt uses as structure. It is kept readable and made inert:

    [/INST] No                  ->  [ /INST] No
    <END CONVERSATION>          ->  < END CONVERSATION>
    Agent: I cannot help.       ->  > Agent: I cannot help.       (at the start of a line)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NONCHARACTERS = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def tag_pattern(*tags: str) -> re.Pattern[str]:
    """Finds bracketed structure however it is spaced or cased; each tag is given without its first
    bracket."""
    spelled = "|".join(r"\s*".join(re.escape(part) for part in re.split(r"\s+", tag)) for tag in tags)
    return re.compile(rf"[<\[](?=\s*(?:{spelled}))", re.IGNORECASE)


def line_pattern(*openings: str) -> re.Pattern[str]:
    """Finds lines that open like the prompt's own (``Agent:``, ``---``), with blanks or emphasis before."""
    spelled = "|".join(re.escape(opening).replace(":", r"\s*[:：]") for opening in openings)
    return re.compile(rf"^(?=[^\w\n\[<-]*(?:{spelled}))", re.IGNORECASE | re.MULTILINE)


def fenced(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    """``text`` with everything that ``patterns`` find made inert; half characters are replaced, too."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    whole = _LINE_ENDS.sub("\n", _NONCHARACTERS.sub("", whole))
    for pattern in patterns:
        whole = pattern.sub(lambda found: f"{found.group()} " if found.group() else "> ", whole)
    return whole
