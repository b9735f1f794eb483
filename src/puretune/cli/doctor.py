"""``puretune doctor``: what is installed, which device, what is missing, and who answers."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from puretune.cli._output import say
from puretune.cli._parameters import FILE
from puretune.store import json_text

_INTERNAL = ("test", "dev", "judge")
_BESIDE = {"vllm": "pip install vllm, in an environment of its own", "llama-cpp-python": ""}
"""What puretune uses without asking for it."""
_WHAT = {
    "data": "Parquet files, data sets of the hub",
    "bertscore": "BERTScore",
    "gguf": "GGUF models",
    "objects": "a store in a bucket (S3)",
    "openai": "judges, engines and tuners behind endpoints",
    "plots": "plots in reports",
    "serve": "puretune serve, puretune chat",
    "train": "the TRL tuner",
    "verify": "minijinja in puretune verify",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--offline", is_flag=True, help="Ask nobody.")
@click.option(
    "--judge", type=FILE, metavar="JUDGE.yaml", help="A judge's file: whether its endpoint answers."
)
def doctor(as_json: bool, offline: bool, judge: Path | None) -> None:
    """Show what is installed, which device is used, which extras are missing, and whether the hub answers."""
    found = {
        "puretune": metadata.version("puretune"),
        "python": platform.python_version(),
        "packages": _packages(),
        "device": _device(),
        "extras": [_extra(name, needs) for name, needs in _extras().items()],
        "answers": [] if offline else list(_answers(judge)),
    }
    say(json_text(found, indent=1) if as_json else _text(found))


def _packages() -> dict[str, str | None]:
    names = ("torch", "transformers", "peft", "tokenizers", "bitsandbytes", *_BESIDE)
    return {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device() -> dict[str, Any]:
    import torch

    from puretune import memory

    cuda = torch.cuda.is_available()
    name = torch.cuda.get_device_name(0) if cuda else platform.processor() or platform.machine()
    kind = "cuda" if cuda else "mps" if torch.backends.mps.is_available() else "cpu"
    return {
        "kind": kind,
        "name": name,
        "cores": len(os.sched_getaffinity(0)),
        "free_bytes": memory.available(),
    }


def _extras() -> dict[str, list[str]]:
    """Extra -> what it needs, as the package says."""
    from packaging.requirements import Requirement

    found: dict[str, list[str]] = {}
    for line in metadata.requires("puretune") or ():
        needed = Requirement(line)
        for name in metadata.metadata("puretune").get_all("Provides-Extra") or ():
            if name not in _INTERNAL and needed.marker and needed.marker.evaluate({"extra": name}):
                found.setdefault(name, []).append(f"{needed.name}{needed.specifier}")
    return found


def _extra(name: str, needs: list[str]) -> Mapping[str, Any]:
    missing = [one for one in needs if not _satisfied(one)]
    command = f"pip install 'puretune[{name}]'" if missing else None
    return {"name": name, "for": _WHAT.get(name, ""), "missing": missing, "add": command}


def _satisfied(needed: str) -> bool:
    from packaging.requirements import Requirement

    said = Requirement(needed)
    version = _version(said.name)
    return version is not None and said.specifier.contains(version, prereleases=True)


def _answers(judge: Path | None) -> Iterator[Mapping[str, Any]]:
    from puretune.endpoints import reachable

    if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        yield {"what": "hub", "ok": False, "said": "not asked: HF_HUB_OFFLINE is set"}
    else:
        url = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        ok, said = reachable(f"{url}/api/models?limit=1")
        yield {"what": f"hub {url}", "ok": ok, "said": said}
    if judge is not None:
        yield _judge(judge)


def _judge(file: Path) -> Mapping[str, Any]:
    from puretune.endpoints import reachable
    from puretune.scoring import Judge, scorer_from

    scorer = scorer_from(str(file))
    if not isinstance(scorer, Judge):
        return {"what": f"judge {scorer.name}", "ok": True, "said": "runs on this machine"}
    endpoint = scorer.spec.endpoint
    ok, said = reachable(f"{endpoint.base_url}/models", key=os.environ.get(endpoint.api_key_env or "", ""))
    return {"what": f"judge {scorer.name} at {endpoint.base_url}", "ok": ok, "said": said}


def _text(found: Mapping[str, Any]) -> str:
    device = found["device"]
    lines = [f"puretune {found['puretune']}, Python {found['python']}"]
    memory = f", {device['free_bytes'] / 2**30:.1f} GiB free" if device["free_bytes"] else ""
    lines.append(f"device: {device['kind']} ({device['name']}), {device['cores']} cores{memory}")
    lines.append("packages:")
    for name, version in found["packages"].items():
        lines.append(f"  {name:18} {version or 'not installed'}")
    lines.append("extras:")
    for extra in found["extras"]:
        state = f"missing {', '.join(extra['missing'])}: {extra['add']}" if extra["missing"] else "installed"
        lines.append(f"  {extra['name']:18} {state}{_for(extra)}")
    lines += [f"{one['what']}: {one['said']}" for one in found["answers"]]
    return "\n".join(lines)


def _for(extra: Mapping[str, Any]) -> str:
    return f"  ({extra['for']})" if extra["for"] else ""
