"""Writing an export: a directory that has all that a server needs to serve what was measured.

adapter_model.safetensors, adapter_config.json, puretune.json    (or model.safetensors with ``merged``)
config.json, tokenizer.json, tokenizer_config.json, generation_config.json
chat_template.jinja, additional_chat_templates/training.jinja
serving.json, probes.json, Modelfile, README.md
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from puretune.deploy._card import card_text
from puretune.deploy._file_names import (
    CARD,
    CHAT_TEMPLATE,
    GENERATION_CONFIG,
    MODELFILE,
    PROBES,
    SERVING,
    TOKENIZER_CONFIG,
    TRAINING,
)
from puretune.deploy._formats import sentence
from puretune.deploy._jinja import chat_template
from puretune.deploy._measured import Measured
from puretune.deploy._ollama import left_out, modelfile
from puretune.deploy._probes import probes, to_json
from puretune.deploy._serving import Policy, Serving
from puretune.deploy._verify import Verification, verify
from puretune.errors import CheckFailed, InputError
from puretune.files import read_mapping
from puretune.models import (
    ADAPTER_CONFIG,
    MANIFEST,
    AdapterRef,
    adapter_ref,
    load_base,
    read_manifest,
    renderer_for,
    resolve_model_path,
    save_merged,
    write_manifest,
)
from puretune.store import faults, json_text, publish_directory, sha256_file, temporary_name, write_text
from puretune.strategies.common import variant
from puretune.templates import PromptTemplate
from puretune.visible import visible

SCHEMA_VERSION = 1
_TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
)
_BASE = (
    "model",
    "revision",
    "fingerprint",
    "markup",
    "default_system",
    "thoughts",
    "dtype",
    "quantization",
)
_ADAPTER = (ADAPTER_CONFIG, "adapter_model.safetensors", MANIFEST)


@dataclass(frozen=True)
class Exported:
    """A finished export."""

    path: Path
    warnings: tuple[str, ...]


def export(measured: Measured, out: Path, policy: Policy = "prepend", merged: bool = False) -> Exported:
    """Write a condition with the template that it is served under, whole or not at all.

    InputError if ``out`` exists, or the template cannot be served on this model; CheckFailed if the finished
    directory does not give the tokens that were measured.
    """
    check_out(out)
    if merged and not isinstance(measured.adapter, AdapterRef):
        raise InputError(f"condition {measured.condition!r} has no adapter to merge. Omit --merged.")
    serving = Serving(measured.template, policy, renderer_for(measured.base))
    warnings = tuple(_warnings(measured, serving))
    temporary = temporary_name(out)
    try:
        with faults(out):
            temporary.mkdir(parents=True)
            _write(temporary, measured, serving, merged, warnings)
        _require_passed(verify(temporary), serving)
        publish_directory(temporary, out, replace=False)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Exported(out, warnings)


def _require_passed(found: Verification, serving: Serving) -> None:
    """CheckFailed if the finished directory would not be rendered as it was measured."""
    if found.findings:
        raise CheckFailed(
            f"template {serving.template.name!r} would not be served as it was measured, so nothing was "
            f"written: {sentence(found.findings[0])}"
        )


def check_out(out: Path) -> None:
    """InputError if something is there already."""
    if out.exists() or out.is_symlink():
        raise InputError(f"{visible(out)} exists. Choose another --out directory.")


def _warnings(measured: Measured, serving: Serving) -> list[str]:
    template, said = serving.template, []
    if measured.as_trained:
        said.append(
            f"it is served under the template that it was trained under ({template.name}). Fine-tuning costs "
            "most of a model's safety under that very template; serve it under another one with a safety "
            "prompt."
        )
    if not template.safety:
        said.append(f"the template {template.name} declares no safety prompt (`safety: true`).")
    if not measured.cells:
        said.append(f"{measured.condition} was not measured under {template.name}.")
    if measured.seeds > 1:
        said.append(
            f"the run has {measured.seeds} seeds of {measured.condition}; this is seed {measured.seed}."
        )
    return said


def _write(
    directory: Path, measured: Measured, serving: Serving, merged: bool, warnings: tuple[str, ...]
) -> None:
    base = resolve_model_path(measured.base, weights=False)
    _weights(directory, measured, merged)
    _tokenizer(directory, base, serving)
    trained = measured.trained if measured.trained and not measured.as_trained else None
    if trained is not None:
        source = chat_template(Serving(trained, serving.policy, serving.renderer))
        write_text(directory / TRAINING, source)
    stops = sorted(serving.renderer.stop_ids)
    _generation(directory, base, serving, stops)
    made = probes(serving, trained)
    write_text(directory / PROBES, json_text({"probes": to_json(made)}) + "\n")
    named = [str(token) for token in serving.renderer.tokenizer.convert_ids_to_tokens(stops)]
    adapter = (directory / ADAPTER_CONFIG).is_file()
    source = measured.source if adapter or measured.adapter is None else "."
    write_text(directory / MODELFILE, modelfile(serving, source, adapter, named))
    write_text(directory / CARD, card_text(measured, serving, merged, _licence(measured), warnings))
    facts = _facts(measured, serving, stops, named, warnings)
    facts["files"] = {
        path.relative_to(directory).as_posix(): sha256_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    write_text(directory / SERVING, json_text(facts, indent=1) + "\n")


def _weights(directory: Path, measured: Measured, merged: bool) -> None:
    """The adapter, the merged model, a full checkpoint, or of an untuned model nothing."""
    ref = measured.adapter
    if merged and isinstance(ref, AdapterRef):
        save_merged(load_base(measured.base), ref, directory)
    elif isinstance(ref, AdapterRef):
        _copy(ref.path, directory, _ADAPTER)
        _name_base(directory, measured)
    elif ref is not None:
        _copy(ref.path, directory, ("config.json", "*.safetensors", "*.safetensors.index.json", MANIFEST))
    config = resolve_model_path(measured.base, weights=False) / "config.json"
    if not (directory / "config.json").exists():
        # without it transformers loads some tokenizers as another class, with other tokens
        shutil.copyfile(config, directory / "config.json")


def _name_base(directory: Path, measured: Measured) -> None:
    """The base by a name that PEFT can load, and the manifest without the rows' text."""
    file = directory / ADAPTER_CONFIG
    config = read_mapping(file, "adapter configuration")
    named = {
        **config,
        "base_model_name_or_path": measured.source,
        "revision": measured.base.revision,
    }
    manifest = read_manifest(directory)
    write_text(file, json.dumps(named, indent=2, ensure_ascii=False) + "\n")
    if manifest is not None:
        write_manifest(directory, replace(manifest, sample=""))
    adapter_ref(directory)


def _tokenizer(directory: Path, base: Path, serving: Serving) -> None:
    """The base's own tokenizer files, with the chat template in both places."""
    _copy(base, directory, _TOKENIZER)
    source = chat_template(serving)
    file = directory / TOKENIZER_CONFIG
    config = read_mapping(file, "model file", infinite=True) if file.exists() else {}
    write_text(file, json.dumps({**config, "chat_template": source}, indent=2, ensure_ascii=False) + "\n")
    write_text(directory / CHAT_TEMPLATE, source)


def _generation(directory: Path, base: Path, serving: Serving, stops: list[int]) -> None:
    file = base / GENERATION_CONFIG
    config = read_mapping(file, "model file", infinite=True) if file.exists() else {}
    tokenizer = serving.renderer.tokenizer
    ids = {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    missing = {key: value for key, value in ids.items() if value is not None and key not in config}
    write_text(
        directory / GENERATION_CONFIG,
        json.dumps({**config, **missing, "eos_token_id": stops}, indent=2) + "\n",
    )


def _copy(source: Path, directory: Path, patterns: tuple[str, ...]) -> None:
    found = {path.name: path for pattern in patterns for path in source.glob(pattern) if path.is_file()}
    for name, path in sorted(found.items()):
        shutil.copyfile(path, directory / name)


def _licence(measured: Measured) -> str | None:
    manifest = read_manifest(measured.adapter.path) if measured.adapter else None
    stated = manifest.base.get("licence") if manifest else None
    return str(stated) if stated else None


def _facts(
    measured: Measured, serving: Serving, stops: list[int], named: list[str], warnings: tuple[str, ...]
) -> dict[str, Any]:
    """``serving.json`` without the digests of the files."""
    template, tokenizer = serving.template, serving.renderer.tokenizer
    facts: Mapping[str, Any] = measured.matrix.provenance
    return {
        "schema_version": SCHEMA_VERSION,
        "puretune": metadata.version("puretune"),
        "study": measured.matrix.name,
        "plan": facts["plan"],
        "condition": measured.condition,
        "kind": measured.kind,
        "seed": measured.seed,
        "adapter": measured.adapter.digest if measured.adapter else None,
        "base": {key: facts["model"].get(key) for key in _BASE},
        "template": _template(template),
        "trained_under": _template(measured.trained) if measured.trained else None,
        "training": _training(measured, named),
        "messages": [{"role": m.role, "content": m.content} for m in template.turns([])],
        "user": template.user,
        "response_prefix": template.response_prefix,
        "system_message": serving.policy,
        "special_tokens_in_messages": {
            "kept_as_text_with": f"U+{ord(serving.break_character):04X}",
            "same_tokens_as_measured": serving.keeps_tokens,
        },
        "stop": {"ids": stops, "tokens": named},
        "bos": {"id": tokenizer.bos_token_id, "written": serving.renderer.writes_bos},
        "special_ids": sorted(set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)),
        "decoding": facts.get("decoding"),
        "measured": bool(measured.cells),
        "cells": [asdict(cell) for cell in measured.cells],
        "modelfile_cannot": left_out(serving),
        "warnings": list(warnings),
    }


def _training(measured: Measured, stops: list[str]) -> dict[str, Any] | None:
    """How many tokens were trained, and whether the first row's end with a stop token."""
    manifest = read_manifest(measured.adapter.path) if measured.adapter else None
    if manifest is None:
        return None
    last = manifest.sample.rpartition("\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}")[0].rstrip()
    ends = last.endswith(tuple(stops)) if last else None
    return {"trained_tokens": manifest.tokens.get("trained"), "ends_with_stop": ends}


def _template(template: PromptTemplate) -> dict[str, Any]:
    """A template by name, and all that a study needs to have it again."""
    fields = variant(template).model_dump()
    return {"name": template.name, "fingerprint": template.fingerprint, **fields}
