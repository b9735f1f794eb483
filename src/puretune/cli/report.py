"""``puretune report``: the reports of a finished run again, in any format; two runs side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from puretune.cli._output import say
from puretune.cli._parameters import PATH
from puretune.errors import InputError
from puretune.report import difference_lines
from puretune.store import json_text
from puretune.study import FORMATS, Moved, moved, write_reports
from puretune.visible import visible

_MOST = 4
"""Cells that are named where they cannot be compared; ``--json`` has all."""


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.argument("other", metavar="[OTHER]", type=PATH, required=False)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME",
    help="html, md, latex, csv, parquet, figures, or one that a package offers; may be repeated.  "
    "[default: html and md]",
)
@click.option("--out", type=PATH, help="Write into this directory.  [default: RUN]")
@click.option("--redact", is_flag=True, help="Leave out harmful requests and answers.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def report(
    run: Path, other: Path | None, formats: tuple[str, ...], out: Path | None, redact: bool, as_json: bool
) -> None:
    """Write the reports of a finished RUN again, without running anything; or say what moved to OTHER.

    Two runs are compared cell by cell, paired on prompts and seeds, OTHER minus RUN; nothing is written.
    """
    if other is None:
        for name in formats:
            FORMATS.load(name, "--format")
        paths = write_reports(run, out, formats, redact, lambda text: say(text, err=True))
        if as_json:
            say(json_text({"files": [str(path) for path in paths]}, indent=1))
            return
        for path in paths:
            say(path)
        return
    if formats or out is not None or redact:
        raise InputError("Two runs are compared on the screen: leave out --format, --out and --redact.")
    found = moved(run, other)
    if as_json:
        say(json_text(asdict(found), indent=1))
        return
    for line in _lines(found, run, other):
        say(line)


def _lines(found: Moved, run: Path, other: Path) -> Iterator[str]:
    sure = sum(one.conclusion in ("lower", "higher") and (one.holm or 0) <= 0.05 for one in found.comparisons)
    moved_cells = f"{sure} of {len(found.comparisons)} cells moved (p corrected)"
    yield f"{visible(other)} minus {visible(run)}: {moved_cells}."
    place = ""
    for one in found.comparisons:
        if place != (place := f"{one.label} on {one.suite}"):
            yield f"{place}, percentage points"
        yield f"  {one.condition} -> {one.test_template}"
        yield from (f"    {line}" for line in difference_lines(one))
    for title, names in (
        ("cannot be paired", found.unpaired),
        (f"only in {visible(run)}", found.only_first),
        (f"only in {visible(other)}", found.only_second),
    ):
        if names:
            more = [f"and {len(names) - _MOST:,} more"] if len(names) > _MOST else []
            yield from (f"{title}:", *(f"  {name}" for name in [*names[:_MOST], *more]))
