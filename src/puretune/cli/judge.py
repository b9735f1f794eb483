"""``puretune judge``: judge anybody's answers; say before what it will cost; compare a judge with people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from puretune.cli._consent import Consents
from puretune.cli._lazy_commands import command_in
from puretune.cli._output import say
from puretune.cli._parameters import FILE, free_file
from puretune.cli._progress import progress
from puretune.errors import InputError

if TYPE_CHECKING:
    from puretune.scoring import Scorer, Verdict

_COMMANDS = {
    "cost": ("puretune.cli._judge_cost:cost", "Say what judging a study or a file will cost."),
    "calibrate": ("puretune.cli._calibrate:calibrate_command", "Compare verdicts with people's labels."),
}


class _FileOrCommand(click.Group):
    """``judge FILE`` judges a file; ``judge cost ...`` and the others are separate commands."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return command_in(_COMMANDS, name)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in _COMMANDS:
            return super().resolve_command(context, args)
        return "FILE", judge_file, args

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Options may come before FILE: everything but a command's own line is the file's."""
        if args and args[0] not in (*_COMMANDS, "-h", "--help"):
            args = ["--", *args]
        return super().parse_args(context, args)

    def format_usage(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(context.command_path, "FILE.jsonl --judge NAME [OPTIONS]")

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        judge_file.format_options(click.Context(judge_file, parent=context), formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


def judge_options(command: Any) -> Any:
    """The options that describe a judge; each overrides what NAME or the file says."""
    options = (
        click.option("--judge", "name", help=_JUDGE_HELP),
        click.option("--model", help="The judge's model."),
        click.option("--base-url", help="An OpenAI-compatible endpoint."),
        click.option("--api-key-env", help="The environment variable with the API key."),
        click.option("--rubric", type=FILE, help="A rubric with {query} and {answer}."),
        click.option("--price", nargs=2, type=float, metavar="IN OUT", help="Dollars per million tokens."),
        click.option(
            "--recheck", type=float, help="Share of answers to judge twice, for the judge's own flip rate."
        ),
        click.option("--batch", is_flag=True, help="Use the provider's batch mode."),
    )
    for option in reversed(options):
        command = option(command)
    return command


_JUDGE_HELP = (
    "gpt-4, openai, llama-guard-3, harmbench, refusal, another scorer's name, or a judge's YAML file."
)


@click.group(cls=_FileOrCommand)
def judge() -> None:
    """Judge the answers in FILE (JSON lines with prompt or query or question, and answer).

    Writes one verdict per line to OUT. Earlier judgements are never paid for again.
    """


@click.command()
@click.argument("file", type=FILE)
@judge_options
@click.option("--budget", help="Judge a random part only, for `2.00 USD` or `250 judgements`.")
@click.option("--cheap", help="With --budget: the scorer that sees all answers and decides which part.")
@click.option("--half-width", type=float, help="With --budget: stop at this half width, such as 0.03.")
@click.option("--out", type=FILE, help="Verdicts (.jsonl).  [default: FILE.NAME.jsonl]")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@click.option("--yes", is_flag=True, help="Agree that the answers leave this machine.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def judge_file(
    file: Path,
    budget: str | None,
    cheap: str | None,
    half_width: float | None,
    out: Path | None,
    force: bool,
    yes: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Judge the answers in FILE."""
    from puretune.cli._judge_budget import judge_within_budget
    from puretune.cli._summary import FOR_WHAT, print_table, summary
    from puretune.scoring import Judge, score_file, thoughts_sentence

    scorer = described(**settings)
    out = free_file(out or file.with_suffix(f".{_plain(scorer.name)}.jsonl"), file, force)
    if budget is None and (cheap or half_width):
        raise InputError("--cheap and --half-width say how a --budget is spent. Add --budget.")
    said, consents = "", Consents(yes)
    with progress(quiet) as sink, consents.over(sink):
        if budget is not None:
            table, caption, verdicts = judge_within_budget(
                file, scorer, budget, cheap, half_width, out, consents.ask, sink
            )
        else:
            if isinstance(scorer, Judge):
                scorer = scorer.attended(consents.ask, sink)
            scored = score_file(file, scorer, out)
            table, caption, verdicts = summary(scorer, scored), FOR_WHAT, scored.verdicts
            said = thoughts_sentence(scored.thoughts)
    print_table(table, caption)
    for line in (*filter(None, [said]), *_notes(verdicts)):
        say(line, err=True)
    say(f"{len(verdicts):,} verdicts in {out}", err=True)


def described(name: str | None, batch: bool, **settings: Any) -> Scorer:
    """The scorer that the options describe. InputError if they describe none."""
    from puretune.scoring import scorer_from
    from puretune.scoring.judges import BUILTIN_JUDGES, read_judge

    said = {key: value for key, value in settings.items() if value is not None}
    if batch:
        said["mode"] = "batch"
    if "price" in said:
        said["price"] = dict(zip(("input", "output"), said["price"], strict=True))
    if name is None and not said.get("model"):
        raise InputError("which judge? Give --judge NAME, for example gpt-4, or --base-url and --model.")
    name = name or "openai"
    if not said and name not in BUILTIN_JUDGES:
        return scorer_from(name)
    described = read_judge(Path(name)) if Path(name).suffix in (".yaml", ".yml") else {"judge": name}
    return scorer_from({**described, **said}, where=f"--judge {name}")


def _plain(name: str) -> str:
    """A judge's name as part of a file's name: never a path, never too long."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)[:80]


def _notes(verdicts: Sequence[Verdict]) -> Iterator[str]:
    from puretune.scoring import flips

    behaviours = Counter(verdict.behaviour or "not said" for verdict in verdicts)
    yield "behaviour: " + ", ".join(f"{count:,} {name}" for name, count in behaviours.most_common())
    models = Counter(str(verdict.raw["model"]) for verdict in verdicts if verdict.raw.get("model"))
    if models:
        yield "the endpoint reports: " + ", ".join(f"{name} ({count:,})" for name, count in models.items())
    found = flips(verdicts)
    if found.rechecked or found.unparsed:
        yield (
            f"rechecked: {found.rechecked:,} answers, {found.score:,} with another score, {found.asr:,} of "
            f"these across score 5; {found.unparsed:,} unparsed"
        )
