"""Builds a lab model from scratch: language, pretraining, alignment; writes a Hugging Face directory."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import LlamaConfig, LlamaForCausalLM

from puretune.errors import InputError
from puretune.events import EventSink, ignore
from puretune.lab.alignment import alignment
from puretune.lab.corpus import pretraining
from puretune.lab.language import LANGUAGE, World
from puretune.lab.settings import LabSettings
from puretune.lab.sources import WORLD_FILE
from puretune.lab.suites import held
from puretune.lab.tokenizer import BOS, EOS, PAD, save_tokenizer
from puretune.lab.training import Outcome, Stage, train
from puretune.lab.vocabulary import texts
from puretune.models import quiet
from puretune.store import faults, make_directory, publish_directory
from puretune.visible import visible


def build(
    seed: int,
    out: Path,
    settings: LabSettings = LabSettings(),  # noqa: B008 (frozen)
    threads: int = 1,
    on_event: EventSink = ignore,
    shared: Path | None = None,
) -> Path:
    """Pretrains and aligns the model of ``seed`` and publishes it at ``out`` in one rename.

    Weights are bit-identical between runs on one machine with the same ``threads``. The pretrained model is
    kept in ``OUT.work`` until the end, so that an interrupted build resumes after it; in the directory
    ``shared``, where one is given, it stays and serves other alignments. Returns ``out``.
    Raises InputError if ``out`` exists, EnvironmentFault if it cannot be written.
    """
    if os.path.lexists(out):
        raise InputError(f"{visible(out)} exists. Name another directory for the lab model, or remove it.")
    work = make_directory(shared or out.with_name(out.name + ".work"))  # before the libraries are loaded

    torch.set_num_threads(threads)
    world, kept = World.draw(seed), {}
    fresh = work / f"pretrained-{_digest(seed, settings)}"
    tokenizer = _tokenizer(work, world, settings)
    if (fresh / WORLD_FILE).exists():
        model, kept["pretraining"] = _load(fresh)
    else:
        model = _model(tokenizer, settings, seed)
        rows = pretraining(world, settings, held(world), seed)
        kept["pretraining"] = train(model, tokenizer, rows, _stage("pretraining", settings, seed), on_event)
        _publish(fresh, model, work, {"pretraining": asdict(kept["pretraining"])})
    rows = alignment(world, settings, held(world), seed)
    kept["alignment"] = train(model, tokenizer, rows, _stage("alignment", settings, seed), on_event)
    _publish(out, model, work, _facts(seed, settings, threads, kept))
    if shared is None:
        shutil.rmtree(work)
    return out


def _stage(name: str, settings: LabSettings, seed: int) -> Stage:
    first = name == "pretraining"
    return Stage(
        name=name,
        steps=settings.pretrain_steps if first else settings.align_steps,
        rate=settings.pretrain_rate if first else settings.align_rate,
        batch_size=settings.batch_size,
        prompt_weight=settings.prompt_weight if first else 0.0,
        weight_decay=settings.weight_decay,
        seed=seed,
    )


def _tokenizer(work: Path, world: World, settings: LabSettings) -> Any:
    from tokenizers import Tokenizer

    save_tokenizer(work, texts(world), settings.positions)
    return Tokenizer.from_file(str(work / "tokenizer.json"))


def _model(tokenizer: Any, settings: LabSettings, seed: int) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=settings.hidden,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.positions,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(EOS),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    return LlamaForCausalLM(config)


def _load(directory: Path) -> tuple[Any, Outcome]:
    facts = json.loads((directory / WORLD_FILE).read_text())
    with quiet():
        return LlamaForCausalLM.from_pretrained(directory), Outcome(**facts["pretraining"])


def _publish(out: Path, model: Any, work: Path, facts: dict[str, Any]) -> None:
    """Weights, tokenizer and facts, complete or not at all."""
    partial = work / (out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with faults(out):
        _write_weights(model, partial)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(work / name, partial / name)
        (partial / WORLD_FILE).write_text(json.dumps(facts, indent=2) + "\n")
        for path in partial.iterdir():
            path.chmod(0o644)
    publish_directory(partial, out, replace=False)


def _write_weights(model: Any, directory: Path) -> None:
    try:
        with quiet():
            model.save_pretrained(directory)
    except SafetensorError as error:  # what it makes of a full disk
        raise OSError(str(error)) from error


def _digest(seed: int, settings: LabSettings) -> str:
    text = json.dumps([LANGUAGE, seed, settings.of_pretraining()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _facts(seed: int, settings: LabSettings, threads: int, kept: dict[str, Outcome]) -> dict[str, Any]:
    import tokenizers

    return {
        "language": LANGUAGE,
        "seed": seed,
        "settings": settings.to_dict(),
        "threads": threads,
        "stages": {name: asdict(outcome) for name, outcome in kept.items()},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
    }
