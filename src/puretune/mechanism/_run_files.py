"""A finished run opened again: its plan and its store."""

from __future__ import annotations

from pathlib import Path

from puretune.errors import InputError
from puretune.files import checked_path
from puretune.inference import LocalEngine
from puretune.store import Store, existing_store
from puretune.study import Plan, Study, plan_study
from puretune.visible import visible


def finished_plan(run: Path) -> tuple[Plan, Store]:
    """Plan and store of a run directory; InputError if it is not one, or if its model is elsewhere."""
    folder = checked_path(run, "run directory")
    store = existing_store(folder) if (folder / "study.yaml").is_file() else None
    if store is None:
        raise InputError(
            f"{visible(folder)} is not a finished run. Give the directory that `puretune run` made."
        )
    plan = plan_study(Study.load(folder / "study.yaml"))
    check_local(plan)
    return plan, store


def check_local(plan: Plan) -> None:
    """InputError if the model's distributions cannot be read in this process."""
    engine = plan.resolved.engine.name
    if engine != LocalEngine.name:
        raise InputError(
            f"the study answers with the engine {engine!r}, which does not show the model's distributions. "
            "Use `engine: local`."
        )
