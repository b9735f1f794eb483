"""The recipes for clusters: their syntax, and the puretune commands in them."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from puretune.cli.run import run

_RECIPES = Path(__file__).parents[1] / "configs" / "clusters"
_COMMAND = re.compile(r"puretune run ([^\n]*)")


@pytest.mark.parametrize("path", sorted(_RECIPES.iterdir()), ids=lambda path: path.name)
def test_its_command_is_one_that_puretune_takes(path: Path) -> None:
    found = [line for line in path.read_text().splitlines() if not line.strip().startswith("#")]
    commands = _COMMAND.findall("\n".join(found))
    assert commands
    for command in commands:
        context = run.make_context("run", shlex.split(command))
        assert context.params["executor"] == "ray"
        assert context.params["address"] == "auto"
        assert context.params["out"] is not None


def test_shell_and_yaml_are_well_formed() -> None:
    assert subprocess.run(["bash", "-n", str(_RECIPES / "slurm.sh")]).returncode == 0
    sky = yaml.safe_load((_RECIPES / "skypilot.yaml").read_text())
    assert subprocess.run(["bash", "-n", "-c", sky["run"]]).returncode == 0
    job = yaml.safe_load((_RECIPES / "kubernetes.yaml").read_text())
    cluster = job["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    mounts = [pod["template"]["spec"]["containers"][0]["volumeMounts"] for pod in pods]
    assert all(mount == [{"name": "shared", "mountPath": "/shared"}] for mount in mounts)
