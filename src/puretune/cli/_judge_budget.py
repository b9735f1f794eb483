"""``puretune judge FILE --budget``: part of the answers judged, and what that says of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from puretune.errors import InputError
from puretune.events import EventSink
from puretune.scoring import (
    Consent,
    FileEstimate,
    Judge,
    Scorer,
    Verdict,
    agree,
    answers_in,
    budget_from,
    check_budget,
    judge_file_within,
    scorer_from,
    within,
)


def judge_within_budget(
    file: Path,
    scorer: Scorer,
    amount: str,
    cheap: str | None,
    half_width: float | None,
    out: Path,
    ask: Consent,
    sink: EventSink,
) -> tuple[Table, str, Sequence[Verdict]]:
    """Ask, judge; the table to show, its caption, the verdicts. InputError if a budget has no use."""
    if not isinstance(scorer, Judge):
        raise InputError(f"{scorer.name} runs on this machine and costs nothing: leave --budget out.")
    budget = budget_from(amount, half_width)
    check_budget(budget, scorer)
    first = scorer_from(cheap) if cheap else None
    if isinstance(first, Judge):
        first = first.attended(ask, sink)
    ask(within(scorer.notice(answers_in(file)), budget))
    found = judge_file_within(file, scorer.attended(agree, sink), budget, first, out)
    caption = (
        f"{len(found.verdicts):,} of {found.answers:,} answers judged; cheap scorer: {found.cheap}. "
        "95 % intervals for these answers."
    )
    return _table(found), caption, found.verdicts


def _table(found: FileEstimate) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for column in ("estimate", "95 % interval", "n", "unparsed"):
        table.add_column(column, justify="right")
    for metric, one in found.bounds.items():
        value = f"{one.least:.1%}" if found.verdicts else "-"
        interval = f"{one.low:.1%} to {one.high:.1%}"
        table.add_row(metric, value, interval, f"{found.answers:,}", f"{one.unparsed:,}")
    return table
