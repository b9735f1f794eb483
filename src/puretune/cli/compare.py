"""``puretune compare``: what a finished run says of its conditions, set against each other prompt by
prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puretune.cli._output import new_console
from puretune.cli._parameters import PATH, FiniteRange
from puretune.study import Comparison
from puretune.study import compare as compared

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_SHARE = FiniteRange(0, 1, min_open=True, max_open=True)


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option("--with", "reference", help="The condition to compare with.  [default: untuned]")
@click.option("--metric", help="Only this metric, as `asr (gpt-4)`.")
@click.option(
    "--margin", type=_SHARE, help="Differences up to this size count as equivalent.  [default: the study's]"
)
@click.option(
    "--seed-sd",
    type=FiniteRange(0, 0.5),
    help="Assumed standard deviation between training runs (0.05: 5 points), where there is one seed.",
)
@click.option("--new-categories", is_flag=True, help="Intervals for new categories of prompts.")
def compare(
    run: Path,
    reference: str | None,
    metric: str | None,
    margin: float | None,
    seed_sd: float | None,
    new_categories: bool,
) -> None:
    """Every condition of a finished RUN minus one of them, on the same prompts under the same template.

    First what the study planned. Everything else is exploratory: its p values are corrected over the whole
    table (Holm). One training run on each side speaks of these two models only.
    """
    found = compared(
        run,
        reference,
        metric,
        margin=margin,
        seed_sd=seed_sd,
        categories="sampled" if new_categories else None,
    )
    console = new_console()
    for role, title in (
        ("planned", "Planned"),
        ("exploratory", "Exploratory, p corrected over all of these"),
    ):
        held = [one for one in found if one.role == role]
        if held:
            _print(console, title, held)
    for line in _notes(found):
        console.print(line, style="dim")


def _print(console: Console, title: str, found: Sequence[Comparison]) -> None:
    """One block a suite and metric, two lines a comparison: names are as long as they are."""
    from rich.text import Text

    console.print(Text(title, style="bold"))
    place = ("", "")
    for one in found:
        if (one.suite, one.label) != place:
            place = (one.suite, one.label)
            console.print(Text(f"  {one.label} on {one.suite}, percentage points"))
        console.print(Text(f"    {_pair(one)}"))
        console.print(_figures(one))


def _pair(one: Comparison) -> str:
    if one.test_template == one.reference_template:
        return f"{one.condition} minus {one.reference}, tested under {one.test_template}"
    return f"{one.condition} -> {one.test_template} minus {one.reference} -> {one.reference_template}"


def _figures(one: Comparison) -> Text:
    from rich.text import Text

    p = one.p if one.holm is None else one.holm
    interval = f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"
    text = Text(f"      {100 * one.difference:+6.1f}  ({interval})  {_p(p)}  ")
    return text.append(one.conclusion, style="bold" if one.conclusion in ("lower", "higher") else "")


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _notes(found: Sequence[Comparison]) -> Iterator[str]:
    """What the intervals are for and how they were made, each kind once; the margin; what one run cannot
    say."""
    for estimand, method in dict.fromkeys((one.estimand, one.method) for one in found):
        yield f"95 % intervals for {estimand}: {method}."
    margins = dict.fromkeys(one.margin for one in found)
    yield (
        f"Equivalent: within {100 * next(iter(margins)):g} points either way (90 % interval). Inconclusive: "
        "neither a difference nor equivalence is shown."
    )
    if any(one.seeds == 1 for one in found) and not any(one.seed_sd for one in found):
        yield (
            "One training run on each side: this says nothing about the templates. Train more seeds, or say "
            "with --seed-sd how far training runs are assumed to differ."
        )
