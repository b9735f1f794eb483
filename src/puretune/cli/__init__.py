"""How people ask: one file per command group, no logic. A command's module is imported when it is called."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

import click

from puretune.cli._faults import explained, silence
from puretune.cli._lazy_commands import command_in
from puretune.cli._output import say, tolerant_streams
from puretune.errors import unknown
from puretune.processes import stop_cleanly

_GROUPS = {
    "Start": {
        "init": ("puretune.cli.init:init", "Write a study for your model and your data, with reasons."),
        "tune": ("puretune.cli.tune:tune", "Tune on your data without a safety prompt, to serve with one."),
        "demo": ("puretune.cli.demo:demo", "Run the lab's matrix: about a minute, no GPU, no network."),
        "show": ("puretune.cli.show:show", "Show what a model sees under a template, token by token."),
    },
    "Data": {
        "data": ("puretune.cli.data:data", "List sources; show, check and clean examples."),
        "templates": ("puretune.cli.templates:templates", "List prompt templates; show one in full."),
        "strategies": (
            "puretune.cli.strategies:strategies",
            "List published defences; show what one adds to a study.",
        ),
    },
    "Run": {
        "run": (
            "puretune.cli.run:run",
            "Run a study: tune, answer, score, report. Resumes when interrupted.",
        ),
        "studies": ("puretune.cli.studies:studies", "List studies by name; print one to change it."),
        "status": ("puretune.cli.status:status", "How far a run is, while it runs or afterwards."),
        "score": ("puretune.cli.score:score", "Score a file of answers."),
        "judge": ("puretune.cli.judge:judge", "Judge a file of answers; see first what it costs."),
    },
    "Decide": {
        "compare-strategies": (
            "puretune.cli.compare_strategies:compare_strategies",
            "Rank published defences on your data at the same helpfulness.",
        ),
        "compare": (
            "puretune.cli.compare:compare",
            "Compare the conditions of a finished run, prompt by prompt.",
        ),
        "report": (
            "puretune.cli.report:report",
            "Write a run's reports again, in any format; say what moved between two.",
        ),
        "recommend": (
            "puretune.cli.recommend:recommend",
            "Say what to serve under which template, and what each alternative costs.",
        ),
        "mechanism": (
            "puretune.cli.mechanism:mechanism",
            "Where tuning moved the models of a finished run.",
        ),
    },
    "Ship": {
        "export": (
            "puretune.cli.export:export",
            "Write a condition and its safe chat template for a server.",
        ),
        "verify": ("puretune.cli.verify:verify", "Check that servers render what was measured."),
        "audit": (
            "puretune.cli.audit:audit",
            "Judge a release against requirements: pass, fail or inconclusive.",
        ),
        "serve": ("puretune.cli.serve:serve", "Serve exports with the prompt that was measured."),
        "chat": ("puretune.cli.chat:chat", "Ask several exports the same questions side by side."),
    },
    "More": {
        "store": (
            "puretune.cli.store:store",
            "List, verify, measure and clean what runs have kept.",
        ),
        "lab": ("puretune.cli.lab:lab", "Build the tiny aligned model from scratch."),
        "kitchen": ("puretune.cli.kitchen:kitchen", "A real small model that refuses recipes."),
        "doctor": ("puretune.cli.doctor:doctor", "Show what is installed, missing, and who answers."),
        "schema": ("puretune.cli.run:schema", "Print the JSON Schema of a study file, for editors."),
    },
}
_COMMANDS = {name: found for group in _GROUPS.values() for name, found in group.items()}


class _Commands(click.Group):
    """Commands by name, imported when used, so that ``--help`` stays fast."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return command_in(_COMMANDS, name)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """InputError, with the nearest name, for a command that does not exist."""
        if args and args[0] not in _COMMANDS and not context.resilient_parsing:
            raise unknown("command", args[0], _COMMANDS)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, _COMMANDS))
        for title, group in _GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), line) for name, (_, line) in group.items()])


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="puretune", message="puretune %(version)s")
def command() -> None:
    """Fine-tune under one prompt template, test under another, and measure what it costs in safety."""


def main() -> None:
    """The program. Exit codes: 0 done, 1 a check failed, 2 the user's input, 3 the environment, 4 an audit
    that is inconclusive, 70 a fault in puretune, 130 stopped with Ctrl-C, 143 with SIGTERM, 129 with SIGHUP.
    """
    tolerant_streams()
    stop_cleanly()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of kernels that nobody asked for
    try:
        code = command(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        _tell(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort) as stop:
        _tell("stopped. Run the same command to resume.", getattr(stop, "exit_code", 130))
    except BrokenPipeError:  # the reader of our output has left (| head)
        silence(sys.stdout)
        sys.exit(0)
    except Exception as error:
        _tell(*explained(error))


def _tell(message: str, code: int) -> NoReturn:
    """The last line, on stderr, and the end."""
    try:
        say(f"puretune: {message}", err=True)
        sys.stdout.flush()
    except OSError:
        silence(sys.stdout)
        silence(sys.stderr)
    sys.exit(code)
