"""``puretune run``: a study from its file to its matrix; ``puretune schema``: its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from puretune.cli._consent import Consents
from puretune.cli._output import new_console, say
from puretune.cli._parameters import FILE, PATH, FiniteRange
from puretune.cli._progress import progress
from puretune.errors import InputError
from puretune.files import parse_yaml
from puretune.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from puretune.study import Compute, Count, ExecutorSpec, Plan, Study

_SPEED = FiniteRange(min=1e-6, max=1e9)


@click.command()
@click.argument("study", metavar="STUDY.yaml|NAME")
@click.option("--out", type=PATH, help="Run directory.  [default: runs/NAME]")
@click.option("--dry-run", is_flag=True, help="Show what would be done and what already exists; do nothing.")
@click.option("--tune-tflops", type=_SPEED, help="A GPU's speed in tuning, for --dry-run.")
@click.option("--answer-tflops", type=_SPEED, help="A GPU's speed in answering, for --dry-run.")
@click.option(
    "--yes",
    is_flag=True,
    help="Agree to every notice shown: rows to a remote tuner, prompts to a remote engine, answers to "
    "remote judges.",
)
@click.option(
    "--executor",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="Where work is done: local (this process), processes (forks of it too, for small models on CPUs), "
    "ray (a cluster), or one that a package offers. auto: the faster here. Results are the same.",
)
@click.option("--address", help="Ray cluster for --executor ray: auto or HOST:PORT.  [default: this machine]")
@click.option(
    "--executor-option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the executor, such as workers=4.",
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print the finished run's results.json.")
def run(
    study: str,
    out: Path | None,
    dry_run: bool,
    tune_tflops: float | None,
    answer_tflops: float | None,
    yes: bool,
    executor: str,
    address: str | None,
    options: tuple[str, ...],
    quiet: bool,
    as_json: bool,
) -> None:
    """Tune, answer, score, report. Interrupted anywhere, the same command resumes."""
    from puretune.study import named_study

    loaded = named_study(study)
    directory = out if out is not None else Path("runs") / loaded.name
    if directory.is_file():
        raise InputError(f"--out {visible(directory)} is a file. Name a directory.")
    if dry_run and as_json:
        raise InputError("--json prints a finished run's results: leave out --dry-run.")
    if dry_run:
        show_plan(loaded, directory, tune_tflops, answer_tflops)
    else:
        spec = _executor(executor, address, options)
        show_study(loaded, directory, quiet=quiet, yes=yes, executor=spec, as_json=as_json)


@click.command()
@click.option("--out", type=FILE, help="Write the schema to this file.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of a study file, for editors."""
    from puretune.store import write_text
    from puretune.study import json_schema

    text = json.dumps(json_schema(), indent=2) + "\n"
    if out is None:
        say(text, nl=False)
    else:
        write_text(out, text)
        say(out)


def show_study(
    study: Study,
    out: Path,
    quiet: bool = False,
    yes: bool = False,
    executor: str | ExecutorSpec = "auto",
    as_json: bool = False,
) -> None:
    """Run a study with progress on stderr, then print its matrix, what it shows, and where its files are.

    With ``as_json`` its ``results.json`` in place of all that.
    """
    from puretune.report import print_finding, print_matrix, remarks
    from puretune.study import run_study

    consents = Consents(yes)
    with progress(quiet) as sink, consents.over(sink):
        matrix = run_study(study, out, sink, consents.ask, executor=executor)
    if as_json:
        say((out / "results.json").read_text("utf-8"), nl=False)
        return
    console = new_console()
    print_finding(matrix, console)
    print_matrix(matrix, console)
    for line in remarks(matrix):
        console.print(line)
    for effect in (one for one in matrix.controls if one.use == "neutral"):
        say(effect.sentence())
    console.print()
    for suite, found in matrix.provenance.get("leakage", {}).items():
        say(f"leakage: suite {suite}: {found}")
    for name, record in matrix.provenance.get("templates", {}).items():
        for note in record.get("notes", ()):
            say(f"template {name}: {note}")
    for name in ("report.html", "report.md", "results.json"):
        say(out / name)


def _executor(name: str, address: str | None, options: Sequence[str]) -> str | ExecutorSpec:
    from puretune.study import executor_with

    given: dict[str, Any] = {} if address is None else {"address": address}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise InputError(f"--executor-option {visible(option)}: not NAME=VALUE.")
        given[key.strip()], _ = parse_yaml(value, "--executor-option")
    return executor_with(name, given)


def show_plan(
    study: Study, out: Path, tune_tflops: float | None = None, answer_tflops: float | None = None
) -> None:
    """Print a plan: cells, prompts, tokens, GPU-hours, what judges will cost, what is there already.

    The speeds are those of one GPU in TFLOP/s; None: what ``Throughput`` assumes.
    """

    from puretune.store import existing_store
    from puretune.study import (
        check_scorers,
        count,
        engine_notices,
        judge_notices,
        measured_speed,
        plan_study,
        tuner_notices,
    )

    planned = plan_study(study, dry=True)
    check_scorers(planned, dry=True)
    counted = count(planned, out)
    console = new_console()
    _print_cells(planned, counted, console)
    say("plan: " + " -> ".join(f"{size:,} {kind}" for kind, size in planned.sizes.items() if size))
    _print_tuning(counted, console)
    for what, steps in (
        ("rows to write", counted.written),
        ("answers to generate", counted.answers),
        ("shards to score", counted.verdicts),
    ):
        if not steps.total:
            continue
        left = steps.total - steps.kept
        say(f"{what}: {left:,} of {steps.total:,} ({steps.kept:,} in the store already)")
    _print_compute(counted.compute, tune_tflops, answer_tflops)
    speed = measured_speed(planned, counted.compute)
    if speed is not None:
        say(f"{speed.said(counted.compute)}, by a short probe")
    store = existing_store(out)
    notices = [*tuner_notices(planned, store), *engine_notices(planned, store), *judge_notices(planned, out)]
    for notice in notices:
        say(notice)
    if planned.resolved.allowance is not None:
        say(f"judge budget: {planned.resolved.allowance}, split across {len(planned.sampled_score):,} cells")
    for control in planned.resolved.controls:
        say(f"control {control}")
    for suite, found in planned.resolved.leakage.items():
        say(f"leakage: suite {suite}: {found}")
    for lacking in planned.resolved.lacking:
        say(f"Counted although something that the run needs is missing: {lacking}")
    say(f"run directory: {out}")


def _print_cells(planned: Plan, counted: Count, console: Console) -> None:
    from rich.table import Table

    base, cells = planned.resolved.base, planned.resolved.cells
    console.print(
        f"study {planned.study}: model {base.spec.model}, {base.dtype} on {base.device}", markup=False
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("condition")
    table.add_column("tested under")
    for name in dict.fromkeys(way.name for way, _ in cells):
        table.add_row(name, ", ".join(template.name for way, template in cells if way.name == name))
    console.print(table)
    suites = ", ".join(f"{name} ({number:,} prompts)" for name, number in counted.suites.items())
    console.print(f"suites: {suites}", markup=False)


def _print_tuning(counted: Count, console: Console) -> None:
    from rich.table import Table

    if not counted.tunes:
        console.print("nothing to tune")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tune")
    for column in ("seed", "rows", "steps", "tokens", "without shared prefix", "trained"):
        table.add_column(column, justify="right")
    table.add_column("")
    for tune in counted.tunes:
        numbers = (tune.rows, tune.steps, tune.tokens, tune.distinct, tune.trained)
        kept = "in the store" if tune.kept else ""
        table.add_row(tune.condition, str(tune.seed), *(f"{number:,}" for number in numbers), kept)
    console.print(table)
    left = [tune for tune in counted.tunes if not tune.kept]
    tokens, distinct = sum(tune.tokens for tune in left), sum(tune.distinct for tune in left)
    console.print(f"tokens to train on: {tokens:,}, without shared prefixes {distinct:,}", highlight=False)


def _print_compute(work: Compute, tune_tflops: float | None, answer_tflops: float | None) -> None:
    from puretune.study import Throughput

    if not work.parameters:
        say(
            f"tokens at the endpoint, estimated: {work.prompt_tokens:,} of prompts, up to "
            f"{work.new_tokens:,} of answers"
        )
        return
    usual = Throughput()
    assumed = Throughput(
        tune_tflops * 1e12 if tune_tflops else usual.tune,
        answer_tflops * 1e12 if answer_tflops else usual.answer,
    )
    tune, answer = work.tune_hours(assumed), work.answer_hours(assumed)
    say(f"GPU-hours, estimated: {tune:,.2f} for tuning, at most {answer:,.2f} for answers")
    say(
        f"  N = {work.parameters / 1e9:,.3g} billion parameters a token\n"
        f"  tuning: {work.tune_tokens:,} tokens x 4N FLOPs at {assumed.tune / 1e12:g} TFLOP/s\n"
        f"  answers: {work.prompt_tokens:,} prompt and up to {work.new_tokens:,} new tokens x 2N FLOPs at "
        f"{assumed.answer / 1e12:g} TFLOP/s\n"
        "  The speeds are assumed, not measured (--tune-tflops, --answer-tflops)."
    )
