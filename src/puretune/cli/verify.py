"""``puretune verify``: whether an export is rendered as it was measured, wherever it is served."""

from __future__ import annotations

from pathlib import Path

import click

from puretune.cli._output import say
from puretune.cli._parameters import PATH
from puretune.deploy import Verification, as_json, as_sarif, sentence, server
from puretune.deploy import verify as verified


@click.command()
@click.argument("directory", metavar="DIR", type=PATH)
@click.option("--base-url", help="A live server, such as http://localhost:8000/v1.")
@click.option("--served-model", help="The model's name there.  [default: the first that it lists]")
@click.option("--api-key-env", help="Environment variable with the server's API key.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True
)
def verify(
    directory: Path, base_url: str | None, served_model: str | None, api_key_env: str | None, form: str
) -> int:
    """Render requests through every consumer of DIR's chat template that is installed, and compare the tokens
    with those that were measured.

    Requests without a system message, with the caller's, with an empty one, of several turns, with tools, and
    with texts that spell special tokens. Exit code 1 if any of them would be shown to the model otherwise.
    """
    servers = [server(base_url, served_model, api_key_env)] if base_url else []
    found = verified(directory, servers)
    say({"text": _text, "json": as_json, "sarif": as_sarif}[form](found))
    return 0 if found.passed else 1


def _text(found: Verification) -> str:
    lines = [f"{found.condition}, served as {found.template}", ""]
    widest = max(len(one.consumer) for one in found.checked)
    for one in found.checked:
        count = f"{one.right} of {one.requests} requests as measured" if one.requests else "not checked"
        lines.append(f"  {one.consumer.ljust(widest)}  {count}{f' ({one.note})' if one.note else ''}")
    lines += ["", *(f"  FAILED  {sentence(one)}" for one in found.findings)]
    lines += [f"  note: {note}" for note in found.notes]
    return "\n".join([*lines, "", "passed" if found.passed else f"failed: {len(found.findings)} accidents"])
