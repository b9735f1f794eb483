"""What an adapter's configuration says, against two lists of what is understood.

Fields of the first list, with these values, make plain LoRA, which puretune computes itself. Those of the
second are left to PEFT's own loader. A field with any other value is an error: it would change the adapter.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.files import kind_of, parse_json, read_text
from puretune.visible import one_line, quoted, visible

ADAPTER_CONFIG = "adapter_config.json"

_WITHOUT_EFFECT = (
    "auto_mapping",
    "base_model_name_or_path",
    "fan_in_fan_out",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
)
"""Fields that cannot change an answer, or are checked by themselves."""
_COMPUTED = ("r", "lora_alpha", "use_rslora")
_WHERE = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
"""Which layers are changed: compared with the tensors when they are loaded."""
_PLAIN_STARTS = (True, False, "gaussian")
"""Values of ``init_lora_weights`` that leave the base as it is."""
_PEFT_STARTS = ("pissa", "olora", "eva", "orthogonal")
"""Those that PEFT makes again, in the same way, when it loads the adapter."""
_PEFT_FIELDS = (
    "alpha_pattern",
    "bias",
    "ensure_weight_tying",
    "eva_config",
    "layer_replication",
    "loftq_config",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_dora",
)
_PEFT_TYPES = ("IA3", "LN_TUNING", "LOHA", "LOKR", "OFT")
"""Other kinds of adapters that live in the base's layers."""
_MERGE = (
    "Merge the adapter into its base where it was trained (PEFT's merge_and_unload, then save_pretrained) "
    "and name the result as `checkpoint:`."
)
_CONVERT = (
    "Save it as plain LoRA where it was trained: save_pretrained(..., "
    "path_initial_model_for_weight_conversion=...)."
)
_CONVERTIBLE = ("pissa", "corda", "lora_ga")
_NO_MERGE = "It does not live in the base's layers and is not supported. Train a LoRA adapter."
_PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "CPT", "ADAPTION_PROMPT")
_MOST = 1 << 16
"""Rank."""


def adapter_config(path: Path) -> dict[str, Any]:
    """The content of an adapter's ``adapter_config.json``; InputError if it is not a JSON mapping."""
    file = path / ADAPTER_CONFIG
    text = read_text(file, "adapter configuration")
    no_number = re.search(r'"(\w{1,60})"\s*:\s*(-?(?:NaN|Infinity))\b', text)
    if no_number:
        raise InputError(f"{visible(file)}: {no_number[1]} is {no_number[2]}. Write a finite number.")
    content = parse_json(text, visible(file))
    if not isinstance(content, dict):
        raise InputError(f"{visible(file)}: expected a mapping ({{...}}), not {kind_of(content)}.")
    return content


def check_config(path: Path, config: Mapping[str, Any]) -> None:
    """InputError, with file and field, where neither puretune nor PEFT's loader would apply the adapter."""
    where, kind = visible(path / ADAPTER_CONFIG), config.get("peft_type")
    if kind in _PROMPTS:
        raise InputError(f"{where}: peft_type is {kind}. {_NO_MERGE}")
    if kind != "LORA" and kind not in _PEFT_TYPES:
        raise InputError(f"{where}: peft_type {_said(kind)} is not supported. {_MERGE}")
    if config.get("task_type") not in (None, "CAUSAL_LM"):
        raise InputError(
            f"{where}: task_type {_said(config['task_type'])} is not for language models that answer. "
            'Name an adapter with "CAUSAL_LM".'
        )
    _check_known(where, config)
    if kind == "LORA":
        _check_numbers(where, config)
        for key in config:
            if not (_is_plain(key, config[key]) or _is_for_peft(key, config[key])):
                advice = _advice(key, config[key])
                raise InputError(f"{where}: {key} {_said(config[key])} is not supported. {advice}")


def obstacle(config: Mapping[str, Any]) -> str | None:
    """The first field that makes an adapter more than plain LoRA, with its value; None: it is plain."""
    if config.get("peft_type") != "LORA":
        return f"peft_type {_said(config.get('peft_type'))}"
    return next((f"{key} {_said(config[key])}" for key in config if not _is_plain(key, config[key])), None)


def _is_plain(key: str, value: Any) -> bool:
    if key == "init_lora_weights":
        return any(value is one or (isinstance(one, str) and value == one) for one in _PLAIN_STARTS)
    if key == "bias":
        return bool(value == "none")
    return key in (*_WITHOUT_EFFECT, *_COMPUTED, *_WHERE) or _is_off(value)


def _is_for_peft(key: str, value: Any) -> bool:
    return key in _PEFT_FIELDS or (key == "init_lora_weights" and value in _PEFT_STARTS)


def _is_off(value: Any) -> bool:
    return value is None or value is False or value in ({}, [])


def _check_known(where: str, config: Mapping[str, Any]) -> None:
    """InputError for a field that is set and that the installed PEFT does not have."""
    unknown = [key for key, value in config.items() if not _is_off(value) and key not in _WITHOUT_EFFECT]
    if config.get("peft_type") == "LORA":  # without importing PEFT, which takes a second or two
        unknown = [key for key in unknown if not (_is_plain(key, True) or _is_for_peft(key, config[key]))]
    if unknown:
        known = _fields_of(str(config["peft_type"]))
        unknown = [key for key in unknown if key not in known]
    if unknown:
        raise InputError(
            f"{where}: PEFT {metadata.version('peft')} has no field {quoted(unknown[0], 60)} "
            f"(here {_said(config[unknown[0]])}), so what it does to the adapter is not known. Update PEFT, "
            "or remove the field if this is the value that it has when it is not used."
        )


def _fields_of(kind: str) -> set[str]:
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    return {field.name for field in fields(PEFT_TYPE_TO_CONFIG_MAPPING[kind])}


def _check_numbers(where: str, config: Mapping[str, Any]) -> None:
    rank, alpha, targets = (config.get(key) for key in ("r", "lora_alpha", "target_modules"))
    if type(rank) is not int or not 0 < rank <= _MOST:
        raise InputError(f"{where}: r is {_said(rank)}. It must be a whole number from 1 to {_MOST}.")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise InputError(f"{where}: lora_alpha is {_said(alpha)}. It must be a finite number.")
    if alpha == 0:
        raise InputError(f"{where}: lora_alpha is 0, so the adapter changes nothing. Give its alpha.")
    if not isinstance(config.get("use_rslora", False), bool):
        raise InputError(f"{where}: use_rslora is {_said(config['use_rslora'])}. It must be true or false.")
    if not _are_names(targets) and not config.get("target_parameters"):
        raise InputError(f"{where}: target_modules is {_said(targets)}. It must name the changed layers.")


def _are_names(targets: Any) -> bool:
    """A pattern, or a list of names."""
    if isinstance(targets, list):
        return bool(targets) and all(isinstance(target, str) for target in targets)
    return isinstance(targets, str) and bool(targets)


def _advice(key: str, value: Any) -> str:
    if key == "init_lora_weights" and str(value).startswith(_CONVERTIBLE):
        return _CONVERT
    if key == "alora_invocation_tokens":
        return (
            "Activated LoRA works from certain tokens of a prompt on, and cannot be merged. Train plain LoRA."
        )
    return _MERGE


def _said(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False), 60)
