"""``puretune compare``: what a finished run says of its conditions, compared prompt by
prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puretune.cli._output import new_console, say
from puretune.cli._parameters import FILE, PATH, FiniteRange
from puretune.report import difference_lines
from puretune.store import json_text
from puretune.study import Comparison, Corrected
from puretune.study import compare as compared
from puretune.study import corrected as corrected_by

if TYPE_CHECKING:
    from rich.console import Console

_SHARE = FiniteRange(0, 1, min_open=True, max_open=True)


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option("--with", "reference", help="The condition to compare with.  [default: untuned]")
@click.option("--metric", help="Only this metric, such as `asr (gpt-4)`.")
@click.option(
    "--margin", type=_SHARE, help="Differences up to this size count as equivalent.  [default: the study's]"
)
@click.option(
    "--seed-sd",
    type=FiniteRange(0, 0.5),
    help="Assumed standard deviation between training runs (0.05: 5 points), if there is one seed.",
)
@click.option("--new-categories", is_flag=True, help="Give intervals for new categories of prompts.")
@click.option(
    "--labels",
    type=FILE,
    help="People's labels (.jsonl) of some answers of each condition: corrects the first metric shown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparisons as JSON.")
def compare(
    run: Path,
    reference: str | None,
    metric: str | None,
    margin: float | None,
    seed_sd: float | None,
    new_categories: bool,
    labels: Path | None,
    as_json: bool,
) -> None:
    """Every condition of a finished RUN minus one of them, on the same prompts under the same template.

    First what the study planned. Everything else is exploratory: its p values are corrected over the whole
    table (Holm). One training run on each side is about these two models only.

    A line of LABELS has `label` (yes, no or a behaviour), `prompt_id`, `condition`, `seed` and
    `test_template`, as in the run's verdicts.jsonl. Each condition is then corrected by the errors that its
    scorer makes on it.
    """
    found = compared(
        run,
        reference,
        metric,
        margin=margin,
        seed_sd=seed_sd,
        categories="sampled" if new_categories else None,
    )
    by_people = corrected_by(run, labels, found) if labels is not None else []
    if as_json:
        content = {"comparisons": list(map(asdict, found)), "corrected": list(map(asdict, by_people))}
        say(json_text(content, indent=1))
        return
    console = new_console()
    for role, title in (
        ("planned", "Planned"),
        ("exploratory", "Exploratory, p corrected over all of these"),
    ):
        held = [one for one in found if one.role == role]
        if held:
            _print(console, title, held)
    if by_people:
        _print_corrected(console, by_people)
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
        sure = one.conclusion in ("lower", "higher")
        for line in difference_lines(one):
            console.print(Text(f"      {line}", style="bold" if sure else ""))


def _print_corrected(console: Console, found: Sequence[Corrected]) -> None:
    """The differences that people would find, each with the number of labels that it rests on."""
    from rich.text import Text

    first = found[0].comparison
    console.print(
        Text("Corrected by people's labels, each condition by its scorer's own errors", style="bold")
    )
    console.print(Text(f"  {first.label} on {first.suite}, percentage points"))
    for one in found:
        console.print(Text(f"    {_pair(one.comparison)}"))
        console.print(Text(f"      {_by_people(one)}"))
    console.print(
        "95 % intervals of corrected differences are for these training runs and new prompts, and hold where "
        "the labelled answers are a random draw of each condition's.",
        style="dim",
    )


def _by_people(one: Corrected) -> str:
    labels = f"{one.labelled[0]:,} and {one.labelled[1]:,} labels"
    value, interval = one.found.corrected, one.found.interval
    if value is None:
        return f"no correction: these labels do not show that the scorer tells yes from no ({labels})"
    ends = f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}"
    return f"{100 * value:+6.1f}  ({ends})  {labels}"


def _pair(one: Comparison) -> str:
    if one.test_template == one.reference_template:
        return f"{one.condition} minus {one.reference}, tested under {one.test_template}"
    return f"{one.condition} -> {one.test_template} minus {one.reference} -> {one.reference_template}"


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
            "One training run of a condition says nothing about its template. Train more seeds, or say "
            "with --seed-sd how far training runs are assumed to differ."
        )
