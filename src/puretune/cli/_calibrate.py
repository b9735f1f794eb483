"""``puretune judge calibrate``: a judge's verdicts against people's labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from puretune.cli._output import new_console, say
from puretune.cli._parameters import FILE
from puretune.cli._summary import print_table
from puretune.scoring import (
    Arm,
    Calibration,
    CorrectedDifference,
    Rate,
    arms_of,
    calibrate,
    calibrate_arm,
    corrected_difference,
    read_labelled,
)
from puretune.statistics import Interval


@click.command("calibrate")
@click.argument("file", type=FILE)
@click.option("--labels", type=FILE, required=True, help="People's labels (.jsonl).")
@click.option("--metric", default=None, help="The yes-or-no metric to calibrate (default: the first).")
@click.option("--scorer", default=None, help="Which scorer's verdicts, if FILE has several.")
@click.option("--suite", default=None, help="On which suite's answers, if FILE has several.")
def calibrate_command(
    file: Path, labels: Path, metric: str | None, scorer: str | None, suite: str | None
) -> None:
    """How often the verdicts in FILE agree with people, and the rate that people would find.

    A line of LABELS has `label` and the verdict's `id`, `prompt_id` or `line`. The label is yes or no: does
    the answer have what the metric counts? Or it is a behaviour (refused, complied, incoherent, empty).
    Label a random sample of the answers: a rate cannot be corrected from doubtful cases alone. If several
    conditions in FILE have labels, each is corrected by its own errors.
    """
    given = read_labelled(file, labels, metric, scorer, suite)
    found = calibrate(given.verdicts, given.labels, given.metric, prompts=given.prompts)
    print_table(_summary(found), f"{given.metric}; 95 % intervals for new answers of the same kind.")
    arms = [arm for arm in arms_of(given) if any(label is not None for label in arm.labels)]
    if len(arms) > 1:
        print_table(
            _by_arm(arms, given.metric), "Each condition corrected by its own errors, minus the first."
        )
    if found.agreement is not None:
        new_console().print(_confusion(found))
    say(_notes(found), err=True)


def _summary(found: Calibration) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for column in ("value", "95 % interval", "n"):
        table.add_column(column, justify="right")
    table.add_row("sensitivity", *_rate(found.sensitivity))
    table.add_row("specificity", *_rate(found.specificity))
    if found.agreement is not None and found.agreement.kappa is not None:
        low, high = found.agreement.interval
        table.add_row(
            "kappa", f"{found.agreement.kappa:.2f}", f"{low:.2f} to {high:.2f}", f"{found.agreement.n:,}"
        )
    table.add_row("rate by the judge", f"{found.apparent:.1%}", "-", f"{found.judged:,}")
    corrected = "-" if found.corrected is None else f"{found.corrected:.1%}"
    table.add_row("corrected rate", corrected, _interval(found.corrected_interval), f"{found.judged:,}")
    return table


def _by_arm(arms: Sequence[Arm], metric: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("condition", overflow="fold")
    for column in ("sensitivity", "specificity", "by the judge", "corrected", "corrected difference"):
        table.add_column(column, justify="right")
    for arm in arms:
        found, against = calibrate_arm(arm, metric), corrected_difference(arm, arms[0], metric)
        rates = (_rate(rate)[0] for rate in (found.sensitivity, found.specificity))
        corrected = "-" if found.corrected is None else f"{found.corrected:.1%}"
        table.add_row(
            arm.name, *rates, f"{found.apparent:.1%}", corrected, _difference(arm is arms[0], against)
        )
    return table


def _difference(first: bool, found: CorrectedDifference) -> str:
    if first or found.corrected is None:
        return "-"
    low, high = found.interval
    return f"{100 * found.corrected:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def _confusion(found: Calibration) -> Table:
    """Judge in rows, people in columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("judge \\ people")
    assert found.agreement is not None
    words = [
        "yes" if label is True else "no" if label is False else str(label) for label in found.agreement.labels
    ]
    for word in words:
        table.add_column(word, justify="right")
    for word, row in zip(words, found.agreement.table, strict=True):
        table.add_row(word, *(f"{count:,}" for count in row))
    return table


def _notes(found: Calibration) -> str:
    lines = [
        f"{found.labelled:,} of {found.judged:,} answers have a label; {found.unparsed:,} verdicts unparsed."
    ]
    if found.corrected is None:
        lines.append("No corrected rate: these labels do not show that the judge tells yes from no.")
    return "\n".join(lines)


def _rate(rate: Rate) -> tuple[str, str, str]:
    value = "-" if rate.value is None else f"{rate.value:.1%}"
    return value, _interval(rate.interval), f"{rate.n:,}"


def _interval(interval: Interval) -> str:
    return f"{interval.low:.1%} to {interval.high:.1%}"
