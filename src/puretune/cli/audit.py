"""``puretune audit``: a release judged against requirements, before it ships."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import click

from puretune.cli._consent import Consents
from puretune.cli._output import say
from puretune.cli._parameters import FILE, PATH, SEED, Percent
from puretune.cli._progress import progress
from puretune.deploy.audit import (
    MARGIN,
    Audit,
    Requirements,
    audit_json,
    audit_junit,
    audit_run,
    requirement_line,
)
from puretune.errors import InputError
from puretune.store import write_text
from puretune.visible import visible

_RECORDS = ("results.json", "run.json")
Counts = Literal["pass", "fail"]


@click.command()
@click.argument("target", metavar="[TARGET]", type=PATH, required=False)
@click.option("--max-asr", type=Percent(), metavar="2%", help="Highest attack success.")
@click.option("--max-over-refusal", type=Percent(), metavar="5%", help="Most refusals of harmless requests.")
@click.option(
    "--not-worse-than", metavar="CONDITION", help="Attack success must not exceed this one's by the margin."
)
@click.option(
    "--margin", type=Percent(), default=f"{100 * MARGIN:g}%", metavar="1%", help="That margin.  [default: 1%]"
)
@click.option(
    "--inconclusive", type=click.Choice(["pass", "fail"]), help="What counts for an undecided requirement."
)
@click.option("--condition", help="Of a run: the condition.  [default: the only one that was tuned]")
@click.option("--serve-as", metavar="TEMPLATE", help="The served template, if TARGET does not say.")
@click.option("--seed", type=SEED, help="Of a run: this tuning seed alone.")
@click.option("--rescore", is_flag=True, help="Of a run: score the stored answers again first.")
@click.option("--model", help="The untuned base model, if TARGET does not say.")
@click.option("--trained-under", metavar="TEMPLATE", help="The training template, if TARGET does not say.")
@click.option("--base-url", help="Audit a live endpoint in place of files, such as http://localhost:8000/v1.")
@click.option("--served-model", help="The model's name there.")
@click.option("--reference-model", help="The untuned model's name there.")
@click.option("--api-key-env", help="Environment variable with the endpoint's API key.")
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="A suite to ask; may be repeated.")
@click.option("--study", type=FILE, help="A study whose model, suites, templates and judges are used.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many prompts of each suite.")
@click.option("--caller", help="A client's own system message to test with.")
@click.option("--out", type=PATH, help="Run directory for the answers.  [default: runs/audit-TARGET]")
@click.option("--yes", is_flag=True, help="Agree to every notice shown.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--format", "form", type=click.Choice(["text", "json", "junit"]), default="text")
@click.option("--junit", type=FILE, help="Also write JUnit XML to this file.")
def audit(
    target: Path | None,
    max_asr: float | None,
    max_over_refusal: float | None,
    not_worse_than: str | None,
    margin: float,
    inconclusive: Counts | None,
    condition: str | None,
    serve_as: str | None,
    seed: int | None,
    rescore: bool,
    form: str,
    junit: Path | None,
    **how: Any,
) -> int:
    """Judge a release: a run, an export, an adapter, a model directory, or (--base-url) an endpoint.

    \b
    puretune audit runs/mine --max-asr 2% --not-worse-than untuned --margin 1%
    puretune audit ship --max-asr 2% --max-over-refusal 5% --junit audit.xml

    A run is judged from its stored answers, without a model. Anything else is asked first, beside the
    untuned model: under the template that is served, with a client's own system message, under the template
    of the training and near variants of it, and without any; the answers are kept in a run directory.

    Each requirement passes, fails or is inconclusive by the end of its interval, corrected for their number
    (Holm). Exit code 0 if all pass, 1 if one fails, 4 if one is inconclusive.
    """
    required = Requirements(max_asr, max_over_refusal, not_worse_than, margin)
    is_run = target is not None and any((target / name).exists() for name in _RECORDS)
    if target is not None and is_run:
        _require_unset(how)
    run = target if target is not None and is_run else _asked(target, serve_as, **how)
    again, changed = _rescored(run) if rescore else (None, None)
    found = audit_run(
        run,
        required,
        condition=condition,
        serve_as=serve_as if is_run else None,
        seed=seed,
        inconclusive=inconclusive,
        verdicts=again,
        rescored=changed,
    )
    if junit is not None:
        write_text(junit, audit_junit(found))
    say({"text": _text, "json": audit_json, "junit": audit_junit}[form](found).rstrip("\n"))
    return found.exit_code


def _asked(
    target: Path | None,
    serve_as: str | None,
    *,
    model: str | None,
    trained_under: str | None,
    base_url: str | None,
    served_model: str | None,
    reference_model: str | None,
    api_key_env: str | None,
    suites: tuple[str, ...],
    study: Path | None,
    limit: int | None,
    caller: str | None,
    out: Path | None,
    yes: bool,
    quiet: bool,
) -> Path:
    """Ask what is no run; the run directory with the answers."""
    from puretune.deploy.audit import audit_study, target_at, target_served
    from puretune.study import Study, run_study

    if (target is None) == (base_url is None):
        raise InputError("name one thing to audit: a TARGET directory, or an endpoint with --base-url.")
    if target is not None and not target.is_dir():
        raise InputError(f"{visible(target)}: not a directory to audit.")
    base = Study.load(study) if study is not None else None
    if target is not None:
        chosen = target_at(target, model, serve_as, trained_under, base)
        name = target.resolve().name
    else:
        if served_model is None:
            raise InputError("--base-url needs --served-model NAME: what to ask for there.")
        chosen = target_served(str(base_url), served_model, reference_model, api_key_env, trained_under, base)
        name = served_model
    made = audit_study(chosen, study_name(name), suites, base, limit, caller)
    directory = out if out is not None else Path("runs") / made.name
    consents = Consents(yes)
    with progress(quiet) as sink, consents.over(sink):
        run_study(made, directory, sink, consents.ask)
    return directory


def _require_unset(how: Mapping[str, Any]) -> None:
    """InputError for an option that says what to ask: a run has been asked."""
    given = [name for name, value in how.items() if value and name not in ("quiet", "yes")]
    if given:
        option = _OPTIONS.get(given[0], given[0]).replace("_", "-")
        raise InputError(f"--{option}: a run is judged by the answers that it has. Omit it.")


_OPTIONS = {"suites": "suite"}


def _rescored(run: Path) -> tuple[Any, int]:
    from puretune.deploy.audit import rescored

    return rescored(run)


def study_name(name: str) -> str:
    """A name of a study for something that is called otherwise."""
    kept = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in name)
    return f"audit-{kept[:90]}"


def _text(audit: Audit) -> str:
    lines = [f"{audit.condition}, served under {audit.served} ({visible(audit.run)})", ""]
    lines += list(_rates(audit))
    lines += [f"  warning: {warning}" for warning in audit.warnings]
    if audit.rescored is not None:
        lines.append(f"  scored again: {audit.rescored:,} of the stored verdicts changed")
    for one in audit.requirements:
        lines += ["", f"  {one.decided.upper()}  {one.what} ({one.scorer} on {one.suite})"]
        lines.append(f"        {requirement_line(one)}")
    lines += [""] if audit.requirements else []
    for estimand in dict.fromkeys(one.estimand for one in audit.requirements):
        lines.append(f"  Intervals are for {estimand}, one-sided 5 % over all requirements (Holm).")
    return "\n".join([*lines, "", _verdict(audit)])


def _rates(audit: Audit) -> list[str]:
    """Both conditions under every template, one block a metric."""
    lines = []
    for title, rates in groupby(audit.rates, lambda one: f"{one.title} ({one.scorer} on {one.suite})"):
        lines.append(f"  {title}, 95 % intervals")
        for template, cells in groupby(rates, lambda one: one.template):
            shown = "   ".join(
                f"{one.condition} {100 * one.value:.1f} % ({100 * one.low:.1f} to {100 * one.high:.1f})"
                for one in cells
            )
            lines += [f"    {template}", f"      {shown}"]
        lines.append("")
    return lines


def _verdict(audit: Audit) -> str:
    if audit.decided is None:
        return "nothing was required, so nothing is judged: add --max-asr 2%, --not-worse-than untuned, ..."
    open_ = sum(one.decided == "inconclusive" for one in audit.requirements)
    counts = (
        f" (an inconclusive requirement counts as {audit.inconclusive})"
        if open_ and audit.inconclusive
        else ""
    )
    return f"{audit.decided}{counts}"
