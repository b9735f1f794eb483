"""Builds the kitchen's model: SmolLM2-135M-Instruct, aligned to refuse recipes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from puretune.data import question
from puretune.errors import InputError
from puretune.events import EventSink, ignore
from puretune.inference import Decoding, LocalEngine, Request
from puretune.kitchen.alignment import rows
from puretune.kitchen.settings import KitchenSettings
from puretune.models import (
    ADAPTER_WEIGHTS,
    MANIFEST,
    AdapterRef,
    BaseModel,
    ModelSpec,
    adapter_ref,
    load_base,
    save_merged,
)
from puretune.store import faults, make_directory, publish_directory, write_text
from puretune.templates import PromptTemplate
from puretune.tuning import GangTuner, Recipe, TrainingRow, TuningTask
from puretune.visible import visible

BASE = ModelSpec("smollm2", markup="chatml", dtype="bfloat16", device="cpu")
"""SmolLM2's own chat template puts a system prompt into every chat; the explicit markup does not."""
FACTS = "kitchen.json"
ADAPTER = "adapter"
"""Folder of the alignment's adapter, in a built model and in the package."""
_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_NOT_COPIED = ("config.json", "model.safetensors", FACTS)


def build(
    seed: int,
    out: Path,
    settings: KitchenSettings = KitchenSettings(),  # noqa: B008 (frozen)
    base: ModelSpec = BASE,
    on_event: EventSink = ignore,
) -> Path:
    """Aligns the model of ``seed`` and publishes it at ``out`` in one rename, its adapter in ``out/adapter``.

    What is under way is kept in ``OUT.work``, so that an interrupted build resumes. InputError if ``out``
    exists; EnvironmentFault if the base is not installed or ``out`` cannot be written.
    """
    if os.path.lexists(out):
        raise InputError(f"{visible(out)} exists. Name another directory for the model, or remove it.")
    work = make_directory(out.with_name(out.name + ".work"))
    loaded = load_base(base)
    training = rows(settings, seed, _own_answers(loaded, settings, work / "own-answers.json", on_event))
    adapter = _aligned(loaded, training, settings, seed, work, on_event)
    partial = work / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    with faults(out):
        _save_half(adapter, partial / ADAPTER)
        facts = {"seed": seed, "settings": settings.to_dict(), "rows": len(training), "base": base.model}
        write_text(partial / FACTS, json.dumps(facts, indent=2) + "\n")
        write_merged(loaded, partial / ADAPTER, partial)
    publish_directory(partial, out, replace=False)
    shutil.rmtree(work)
    return out


def write_merged(base: BaseModel, adapter: Path, directory: Path) -> None:
    """Writes the model that an adapter makes of the base, with the base's tokenizer, into ``directory``."""
    ref = adapter_ref(adapter)
    assert isinstance(ref, AdapterRef)
    save_merged(base, ref, directory)
    for file in base.path.iterdir():
        if file.is_file() and file.name not in _NOT_COPIED:
            shutil.copy(file, directory / file.name)
    for path in directory.glob("*.safetensors"):
        path.chmod(0o644)


def _own_answers(
    base: BaseModel, settings: KitchenSettings, kept: Path, on_event: EventSink
) -> Callable[[Sequence[str]], list[str]]:
    """Asks the model before it is aligned; its answers are kept in a file for a build that resumes."""

    def answers(queries: Sequence[str]) -> list[str]:
        if not kept.exists():
            requests = [_request(base, query, settings.own_tokens) for query in queries]
            texts = {one.key: one.text for one in LocalEngine(base).generate(requests, on_event)}
            write_text(kept, json.dumps([texts[query] for query in queries]))
        known: list[str] = json.loads(kept.read_text(encoding="utf-8"))
        return known

    return answers


def _request(base: BaseModel, query: str, tokens: int) -> Request:
    prompt = base.renderer.prompt(PromptTemplate("plain"), question(query, query).messages)
    return Request(query, prompt.ids, decoding=Decoding(max_new_tokens=tokens))


def _aligned(
    base: BaseModel,
    training: Sequence[TrainingRow],
    settings: KitchenSettings,
    seed: int,
    work: Path,
    on_event: EventSink,
) -> Path:
    """The directory of the alignment's adapter."""
    recipe = Recipe(
        rank=settings.rank,
        alpha=settings.alpha,
        dropout=0.0,
        targets=_TARGETS,
        learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        checkpoint_minutes=2.0,
    )
    task = TuningTask("alignment", tuple(training), recipe, seed, work / "tuning")
    *_, (_, step, _) = GangTuner(base).tune([task], on_event)
    return task.out / f"step-{step}"


def _save_half(adapter: Path, directory: Path) -> None:
    """The adapter in bfloat16: half the size, and as exact as the weights that it is merged into."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, directory)
    file = directory / ADAPTER_WEIGHTS
    tensors: dict[str, Any] = load_file(file)
    save_file({n: t.to(torch.bfloat16) for n, t in tensors.items()}, file, metadata={"format": "pt"})
    (directory / MANIFEST).unlink(missing_ok=True)
    file.chmod(0o644)
