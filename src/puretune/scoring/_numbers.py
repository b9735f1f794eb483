r"""The number that an answer gives, however it is spelt: plain text, Markdown, LaTeX, other scripts' digits.

The total is \boxed{\$9{,}500}.            9500
\frac{3}{4} of them                        3/4        a fraction counts as written
1 234, 1,234, 1\,234, １２３４             1234
It is 72\u00b2.                                 72^2       not 72
The answer is 18. (I checked it twice: 2)  18         the stated one, not the last
#### 18\n\nQ: Tom has 5 ... A: 7           18         what follows is another question
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque

_SUPER = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b", "0123456789-")
_SUPERSCRIPTS = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079\u207b]+")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_CHARACTERS = str.maketrans(
    {
        "\uff0c": ",",
        "\uff0e": ".",
        "\uff04": "$",
        "\uff05": "%",
        "\uff0d": "-",
        "\u2212": "-",
        "\u066b": ".",
        "\u066c": ",",
        "\u2044": "/",
        "\uff0f": "/",
        "\u00a0": " ",
        "\u2007": " ",
        "\u2009": " ",
        "\u202f": " ",
    }
)
_LATEX = (
    (re.compile(r"\{\s*,\s*\}|\\,(?=[0-9]{3})|\\!,|(?<=[0-9]),\\!(?=[0-9]{3})"), ","),
    (re.compile(r"\\[;: !]|\\(?:quad|qquad)\b|~"), " "),
    (re.compile(r"\\([$%#])"), r"\1"),
    (re.compile(r"\\[dtc]?frac\s*\{\s*(-?[0-9.,]+)\s*\}\s*\{\s*([0-9.,]+)\s*\}"), r" \1/\2 "),
    (re.compile(r"\\[dtc]?frac\s*([0-9])\s*([0-9])"), r" \1/\2 "),
    (re.compile(r"\^\s*\{\s*(-?[0-9]+)\s*\}|\*\*(?=-?[0-9])"), r"^\1"),
)

_NUMBER = re.compile(
    r"(?P<minus>(?<![\w)\]%.])-)?"  # a minus, but not one that subtracts ("5-3")
    r"(?:\$\s?(?P<inner>-)?)?"
    r"(?:(?P<mixed>(?<![0-9.,/])[0-9]+) +(?=[0-9]+/[0-9]))?"
    r"(?P<digits>(?<![0-9.])(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}"
    r"|[0-9]{1,3}(?: [0-9]{3})+|[0-9]{1,3}(?:'[0-9]{3})+)(?![0-9])(?:\.[0-9]+)?"
    r"|[0-9]+(?:\.[0-9]+)?|(?<![0-9.])\.[0-9]+)"
    r"(?:[eE](?P<e>[+-]?[0-9]+)(?![\w]))?"
    r"(?:\^(?P<power>-?[0-9]+))?"
    r"(?:\s?/\s?(?P<under>[0-9]+)(?![0-9]|[./,][0-9]))?"
)

_MARK = "####"
_DIGIT = re.compile("[0-9]")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_NEXT = re.compile(
    r"\n[ \t*_#>-]{0,8}(?:Q|Question|Problem|Exercise|Next question|Instruction|Human|User)\b"
    r"[ \t]{0,4}[0-9]{0,4}[*_]{0,4}[ \t]{0,4}[:.)]",
    re.IGNORECASE,
)
_BOXED = "\\boxed"
_STATED = re.compile(r"\banswer\b[\s*_\"']*(?:is|was|would be|should be|comes to|equals|:|=)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\n|(?<=[^\s])[.!?](?=\s|$)")


def number_of(text: str) -> str | None:
    """The number that an answer gives, in canonical form (``-1234.5``, ``3/4``, ``10^3``); None: none.

    In this order: after the last ``####``, in the last ``\\boxed{}``, after the last "answer is" or
    "answer:", and else the last number. A next question that the model puts to itself is cut off.
    """
    whole = normalised(text)
    for part in (_own_part(whole), whole):
        for find in (_marked, _boxed, _stated, _last):
            found = find(part)
            if found is not None:
                return canonical(found)
    return None


def exact_number(text: str) -> str | None:
    """The number that a text is, in canonical form; None if it is anything else."""
    found = _NUMBER.fullmatch(normalised(text).strip().rstrip(".%").strip())
    return canonical(found) if found else None


def normalised(text: str) -> str:
    """The text with digits, signs and separators of other scripts, and LaTeX's, in ASCII."""
    if not text.isascii():
        text = _SUPERSCRIPTS.sub(lambda found: "^" + found[0].translate(_SUPER), text)
        text = _VULGAR.sub(lambda found: " " + unicodedata.normalize("NFKC", found[0]), text)
        text = "".join(map(_digit, text.translate(_CHARACTERS)))
    if "\\" in text or "{" in text or "**" in text or "~" in text:
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
    return text


def canonical(found: re.Match[str]) -> str:
    """A number as text, not as a float: exact, and linear in the length of a megabyte of digits."""
    whole, _, part = re.sub("[, ']", "", found["digits"]).partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    number = f"{whole}.{part}" if part else whole
    for mark, name in (("e", "e"), ("^", "power"), ("/", "under")):
        if found[name] is not None:
            number = f"{number}{mark}{found[name].lstrip('0') or '0'}"
    if found["mixed"] is not None:
        number = f"{found['mixed'].lstrip('0') or '0'} {number}"
    negative = (found["minus"] or found["inner"]) and number != "0"
    return f"-{number}" if negative else number


def _digit(character: str) -> str:
    value = None if character.isascii() else unicodedata.decimal(character, None)
    return character if value is None else str(value)


def _own_part(text: str) -> str:
    """What answers the question that was asked, without questions that the model then asks itself."""
    text = text[: _answered(text)]
    start = len(text) - len(text.lstrip())
    found = _NEXT.search(text, start)
    return text[: found.start()] if found else text


def _answered(text: str) -> int | None:
    """Where a line with the marked number ends, if a blank line follows; None: nowhere."""
    place = text.find(_MARK)
    while place >= 0:
        end = text.find("\n", place)
        if end < 0:
            return None
        if _DIGIT.search(text, place, end) and _BLANK_LINE.match(text, end):
            return end
        place = text.find(_MARK, end)
    return None


def _marked(text: str) -> re.Match[str] | None:
    place = text.rfind(_MARK)
    return _in_line(text[place + len(_MARK) :].partition("\n")[0]) if place >= 0 else None


def _boxed(text: str) -> re.Match[str] | None:
    place = text.rfind(_BOXED)
    if place < 0:
        return None
    depth, start = 0, place + len(_BOXED)
    for end in range(start, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if depth <= 0 and end > start:
            return _last(text[start:end])
    return _last(text[start:])


def _stated(text: str) -> re.Match[str] | None:
    for found in deque(_STATED.finditer(text), maxlen=1):
        end = _SENTENCE_END.search(text, found.end())
        return _in_line(text[found.end() : end.start() if end else None])
    return None


def _in_line(line: str) -> re.Match[str] | None:
    """The first number, or the last one of an equation."""
    return _last(line) if "=" in line else _NUMBER.search(line)


def _last(text: str) -> re.Match[str] | None:
    last = deque(_NUMBER.finditer(text), maxlen=1)
    return last[0] if last else None
