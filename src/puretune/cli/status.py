"""``puretune status``: how far a run is, while it runs or afterwards."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from puretune.cli._output import new_console, say
from puretune.cli._parameters import PATH, FiniteRange
from puretune.names import spoken_time
from puretune.study import run_status
from puretune.visible import visible

if TYPE_CHECKING:
    from puretune.study import RunStatus


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option("--watch", is_flag=True, help="Show it again every few seconds, until the run is over.")
@click.option(
    "--every",
    type=FiniteRange(min=0.2, max=3600),
    default=2.0,
    show_default=True,
    help="Seconds for --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (with --watch: one a line).")
def status(run: Path, watch: bool, every: float, as_json: bool) -> None:
    """How far the latest run in the directory RUN is: units, rates, time left, workers.

    It reads the run's log.jsonl and asks nothing of the run. A unit is what a worker does in one go: a few
    adapters, the answers of one adapter under one template, the verdicts of one scorer.
    """
    while True:
        found = run_status(run)
        if as_json:
            say(json.dumps(found.to_json(), indent=None if watch else 2))
        else:
            _show(run, found)
        if not watch or found.state != "running":
            return
        time.sleep(every)


def _show(run: Path, found: RunStatus) -> None:
    from rich.table import Table

    console = new_console()
    say(_first_line(run, found))
    if found.works:
        table = Table(box=None, pad_edge=False)
        for title in ("work", "done", "running", "failed", "a unit", "progress"):
            table.add_column(title, justify="left" if title == "work" else "right")
        for name, work in found.works.items():
            mean = spoken_time(work.seconds / work.done) if work.done else ""
            done = f"{work.done} of {work.total}" if work.total else ""
            table.add_row(name, done, str(work.running), str(work.failed), mean, _progress(work.progress))
        console.print(table)
    for name, worker in found.workers.items():
        at = f", at: {worker.at}" if worker.at and found.state == "running" else ""
        failed = f", {worker.failed} given up" if worker.failed else ""
        units = "1 unit" if worker.done == 1 else f"{worker.done} units"
        console.print(f"{name}: {units} in {spoken_time(worker.seconds)}{failed}{at}")
    for warning in found.warnings:
        console.print(warning)


def _first_line(run: Path, found: RunStatus) -> str:
    left = found.seconds_left
    text = f"{visible(run)}: {found.state}, {spoken_time(found.seconds)}"
    if found.state == "running":
        return text + (f", about {spoken_time(left)} left" if left is not None else "")
    if found.state == "killed":
        return f"{text} until its last sign of life. The same `puretune run` resumes it."
    return text + (f": {found.error}" if found.error else "")


def _progress(progress: Any) -> str:
    if progress is None:
        return ""
    done, total = progress
    return f"{done:,}" if total is None else f"{done:,} of {total:,}"
