"""Text that is safe to show: what would steer a terminal or hide from a reader is made visible."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
# Categories: control, format (bidirectional marks, zero-width), surrogate, private use, unassigned; line and
# paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: object, kept: str = _KEPT) -> str:
    """``text`` with every control, bidirectional, zero-width and lone surrogate character as its escape.

    Line ends and tabs stay, unless ``kept`` says otherwise. Joiners in emoji are shown too: a name
    that looks like another one misleads.
    """
    return "".join(char if _is_shown(char, kept) else _escape(char) for char in str(text))


def one_line(text: object, longest: int = 200) -> str:
    """``text`` made visible on one line, cut to ``longest`` characters with an ellipsis."""
    line = visible(" ".join(str(text)[: 20 * longest].split()), kept="")
    return line if len(line) <= longest else line[: longest - 1] + "…"


def quoted(text: object, longest: int = 200) -> str:
    """``text`` as :func:`one_line` shows it, in quotes: a backslash is one, blanks at the ends stay."""
    whole = str(text)[: 20 * longest]
    line = one_line(whole, longest)
    if whole[:1].isspace() or whole[-1:].isspace():
        line = visible(whole, kept="")
        line = line if len(line) <= longest else line[: longest - 1] + "…"
    return f'"{line}"' if "'" in line and '"' not in line else f"'{line}'"


def _is_shown(char: str, kept: str) -> bool:
    return (
        char in kept or (char.isascii() and char.isprintable()) or unicodedata.category(char) not in _HIDDEN
    )


def _escape(char: str) -> str:
    number = ord(char)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
