"""Renderings shown token by token: coloured cells on a terminal that has colours, marks everywhere else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from puretune.cli._output import new_console

if TYPE_CHECKING:
    from puretune.templates import Difference, Rendering

_INK = "#1d1c1a"
# Two shades each, in turn, so that the borders of tokens are seen; light cells read well on dark paper too.
# All are in the palette of 256 colours, so that a terminal without more shows the same.
_CELLS = {
    "prompt": ("#eeeeee", "#d0d0d0"),
    "special": ("#d7d7ff", "#afd7ff"),
    "trained": ("#afd7d7", "#87d7af"),
    "only here": ("#ffd7af", "#ffaf87"),
}
_OPEN, _CLOSE, _BORDER, _LINE = "⟦", "⟧", "│", "⏎"
_ENDS = 12  # tokens shown at both ends of a long difference
_WIDEST = 110


def token_console() -> Console:
    """A console on stdout, no wider than reads well."""
    return new_console(widest=_WIDEST)


def print_rendering(
    console: Console, title: Text, tokenizer: Any, rendering: Rendering, only: Collection[int] = ()
) -> None:
    """A title with the counts at its right, and the tokens; ``only`` are the highlighted positions."""
    header = Table.grid(expand=True)
    header.add_column(ratio=1)
    header.add_column(justify="right", no_wrap=True)
    header.add_row(title, Text(_counts(rendering), style="dim"))
    console.print(header)
    console.print(Padding(_drawn(console, tokenizer, rendering, only), (0, 0, 1, 2), expand=False))


def print_legend(console: Console, compared: bool) -> None:
    """What the colours, or the marks in their place, mean."""
    if _plain(console):
        text = Text(f"{_BORDER} between tokens, {_OPEN}trained{_CLOSE}, {_LINE} a new line")
    else:
        text = Text(" ").join(
            Text(f" {kind} ", style=f"{_INK} on {shades[0]}")
            for kind, shades in _CELLS.items()
            if compared or kind != "only here"
        )
    console.print(text)


def print_differences(
    console: Console, tokenizer: Any, sides: Sequence[tuple[str, Sequence[int]]], found: Sequence[Difference]
) -> None:
    """Each place where two sequences of ids differ: the last token before it, and what each side has."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    spelled = [
        (name, [piece.replace("\n", _LINE) for piece in _spelled(tokenizer, ids)]) for name, ids in sides
    ]
    for difference in found:
        before = spelled[0][1][: difference.left.start]
        grid.add_row("after", "", Text(before[-1] if before else "the start", style="dim"))
        for (name, said), place in zip(spelled, (difference.left, difference.right), strict=True):
            grid.add_row(Text(name), f"{len(place)}", _some(console, said[place.start : place.stop]))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False))


def _plain(console: Console) -> bool:
    return console.color_system is None or console.no_color


def _counts(rendering: Rendering) -> str:
    size = len(rendering.ids)
    prompt = rendering.loss_mask.index(True) if rendering.trained else size
    after = size - prompt - rendering.trained
    parts = [f"{prompt} prompt", f"{rendering.trained} trained", *([f"{after} other"] if after else [])]
    return f"{size} tokens: {', '.join(parts)}"


def _drawn(console: Console, tokenizer: Any, rendering: Rendering, only: Collection[int]) -> Text:
    kinds = _kinds(tokenizer, rendering.ids, rendering.loss_mask, only)
    text = _cells(console, _spelled(tokenizer, rendering.ids), kinds)
    text.rstrip()
    return text


def _kinds(tokenizer: Any, ids: Sequence[int], trained: Sequence[bool], only: Collection[int]) -> list[str]:
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    return [
        "trained" if on else "only here" if i in only else "special" if id in special else "prompt"
        for i, (id, on) in enumerate(zip(ids, trained, strict=True))
    ]


def _cells(console: Console, spelled: Sequence[str], kinds: Sequence[str]) -> Text:
    text, plain = Text(overflow="fold"), _plain(console)
    for i, (piece, kind) in enumerate(zip(spelled, kinds, strict=True)):
        if not plain:
            text.append(_visible([piece]), style=f"{_INK} on {_CELLS[kind][i % 2]}")
            continue
        opens = kind == "trained" and (i == 0 or kinds[i - 1] != "trained")
        closes = kind == "trained" and (i + 1 == len(kinds) or kinds[i + 1] != "trained")
        border = "" if opens or i == 0 or spelled[i - 1].endswith("\n") else _BORDER
        text.append(border + _OPEN * opens + _visible([piece]) + _CLOSE * closes)
    return text


def _some(console: Console, spelled: Sequence[str]) -> Text:
    """These tokens; of many, both ends."""
    if not spelled:
        return Text("nothing", style="dim")
    kinds = ["only here"] * len(spelled)
    if len(spelled) <= 2 * _ENDS + 1:
        return _cells(console, spelled, kinds)
    gap = Text.assemble((f" … {len(spelled) - 2 * _ENDS} more … ", "dim"))
    ends = (_cells(console, part, kinds[:_ENDS]) for part in (spelled[:_ENDS], spelled[-_ENDS:]))
    return gap.join(ends)


def _spelled(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    from puretune.templates import pieces

    return pieces(tokenizer, ids)


def _visible(spelled: Sequence[str]) -> str:
    return "".join(piece.replace("\n", f"{_LINE}\n") or "∅" for piece in spelled)
