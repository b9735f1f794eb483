"""``puretune serve``: exports behind OpenAI's protocol, with the prompt that was measured."""

from __future__ import annotations

import asyncio
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puretune.cli._output import say
from puretune.cli._parameters import PATH, FiniteRange
from puretune.errors import EnvironmentFault, InputError
from puretune.visible import visible

if TYPE_CHECKING:
    from puretune.deploy.serve import Backend, Bounds, Release

_NEEDED = ("starlette", "httpx2", "uvicorn")


@click.command()
@click.argument("directories", metavar="DIR...", type=PATH, nargs=-1, required=True)
@click.option("--upstream", metavar="URL", help="The server that answers, such as http://localhost:8000/v1.")
@click.option("--upstream-key-env", metavar="NAME", help="Environment variable with that server's API key.")
@click.option(
    "--upstream-model", "names", multiple=True, metavar="NAME=THEIRS", help="That server's name of an export."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one."
)
@click.option("--api-key-env", metavar="NAME", help="Environment variable with the key clients must send.")
@click.option("--no-key", is_flag=True, help="Let others in without a key, where --host is not loopback.")
@click.option("--max-body", type=click.IntRange(min=1), default=1 << 20, show_default=True, help="Bytes.")
@click.option(
    "--max-running", type=click.IntRange(min=1), default=64, show_default=True, help="Requests at a time."
)
@click.option(
    "--max-seconds", type=FiniteRange(min=0.1), default=300.0, show_default=True, help="For one request."
)
@click.option("--device", default="auto", help="Without --upstream: where the model is.")
def serve(
    directories: tuple[Path, ...],
    upstream: str | None,
    upstream_key_env: str | None,
    names: tuple[str, ...],
    host: str,
    port: int,
    api_key_env: str | None,
    no_key: bool,
    max_body: int,
    max_running: int,
    max_seconds: float,
    device: str,
) -> None:
    """Serve exports, each as a model under its directory's name (or NAME=DIR).

    \b
    puretune serve ship --upstream http://localhost:8000/v1    # vllm serve, transformers serve
    puretune serve ship                                        # a small model, in this process

    Clients get OpenAI's chat and completions, with streaming. Whatever they send (a chat template of their
    own, a raw prompt, special tokens), the model is shown the prompt that was measured. Fields that are not
    on the list are refused. /health and /metrics (Prometheus) tell how it is.
    """
    _require_installed()
    from puretune.deploy.serve import Bounds, releases, require_key

    key = _key(api_key_env)
    require_key(host, key, no_key)
    served = releases(directories)
    mapping = dict(_pair(one, served) for one in names)
    bounds = Bounds(body=max_body, running=max_running, seconds=max_seconds)
    asyncio.run(_serve(served, upstream, upstream_key_env, mapping, host, port, key, bounds, device))


async def _serve(
    served: dict[str, Release],
    upstream: str | None,
    upstream_key_env: str | None,
    names: dict[str, str],
    host: str,
    port: int,
    key: str | None,
    bounds: Bounds,
    device: str,
) -> None:
    from puretune.deploy.serve import (
        LocalBackend,
        UpstreamBackend,
        listen,
        proxy_app,
        serve_on,
        server_of,
    )

    bound = listen(host, port)
    backend: Backend
    if upstream is None:
        backend = LocalBackend(served, device)
    else:
        backend = UpstreamBackend(upstream, upstream_key_env, names, bounds.seconds)
        await backend.check(served)
    shown = f"[{host}]" if ":" in host else host
    say(f"serving {', '.join(served)} at http://{visible(shown)}:{bound.getsockname()[1]}/v1", err=True)
    await serve_on(server_of(proxy_app(served, backend, bounds, key), host, port), bound)


def _require_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise EnvironmentFault(
            f"{', '.join(missing)} is not installed. Install it: pip install 'puretune[serve]'"
        )


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "")
    if not key:
        raise EnvironmentFault(f"{visible(variable)} is not set. Put the API key into it.")
    return key


def _pair(text: str, served: dict[str, Release]) -> tuple[str, str]:
    name, equals, theirs = text.partition("=")
    if not (equals and theirs and name in served):
        raise InputError(
            f"--upstream-model {visible(text)}: write NAME=THEIRS; NAME is one of {', '.join(served)}."
        )
    return name, theirs
