"""Models: base models with their tokenizers, adapters and their manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.models._adapter import (
        MANIFEST,
        REMOTE_MODEL,
        Manifest,
        adapter_ref,
        check_adapter,
        described,
        read_manifest,
        write_manifest,
    )
    from puretune.models._adapter_config import ADAPTER_CONFIG
    from puretune.models._adapter_files import ADAPTER_WEIGHTS, AdapterFiles, read_adapter
    from puretune.models._apply import applied, save_merged
    from puretune.models._base_model import BaseModel
    from puretune.models._digests import cache_directory
    from puretune.models._fingerprint import fingerprint, provisional_fingerprint
    from puretune.models._hardware import (
        SMALL_MODEL,
        free_memory,
        has_bf16,
        resolved_device,
        resolved_dtype,
        resolved_threads,
        stored_parameters,
    )
    from puretune.models._lazy_base import LazyBase
    from puretune.models._library_errors import quiet, reading
    from puretune.models._load import load_base, load_model
    from puretune.models._loaded_weights import check_finite, check_loaded
    from puretune.models._lora import (
        Lora,
        LowRank,
        attached,
        load_lora,
        low_rank,
        merged,
        new_lora,
        save_lora,
        target_modules,
    )
    from puretune.models._own_tokenizer import check_own_tokenizer, check_rows
    from puretune.models._packaged import smollm2
    from puretune.models._quantize import quantization_key, quantization_lacking
    from puretune.models._remote import MessagesRenderer, RemoteBase, estimate_tokens
    from puretune.models._resolve import MODELS, is_hub_id, pinned, resolve_model_path
    from puretune.models._size import ModelShape, is_small, model_shape, parameters_per_token
    from puretune.models._stand_in import stand_in
    from puretune.models._targets import check_targets
    from puretune.models._tokenizer import UNLIMITED, context_length, load_tokenizer, renderer_for
    from puretune.models._types import (
        AdapterRef,
        CheckpointRef,
        Dtype,
        ModelSpec,
        Quantization,
        ServedModel,
        TunedModel,
        at_least_float32,
        on_disk,
        served_model,
        shown,
    )
    from puretune.models._weights import WeightsAbsent

__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "MANIFEST",
    "MODELS",
    "REMOTE_MODEL",
    "SMALL_MODEL",
    "UNLIMITED",
    "AdapterFiles",
    "AdapterRef",
    "BaseModel",
    "CheckpointRef",
    "Dtype",
    "LazyBase",
    "Lora",
    "LowRank",
    "Manifest",
    "MessagesRenderer",
    "ModelShape",
    "ModelSpec",
    "Quantization",
    "RemoteBase",
    "ServedModel",
    "TunedModel",
    "WeightsAbsent",
    "adapter_ref",
    "applied",
    "at_least_float32",
    "attached",
    "cache_directory",
    "check_adapter",
    "check_finite",
    "check_loaded",
    "check_own_tokenizer",
    "check_rows",
    "check_targets",
    "context_length",
    "described",
    "estimate_tokens",
    "fingerprint",
    "free_memory",
    "has_bf16",
    "is_hub_id",
    "is_small",
    "load_base",
    "load_lora",
    "load_model",
    "load_tokenizer",
    "low_rank",
    "merged",
    "model_shape",
    "new_lora",
    "on_disk",
    "parameters_per_token",
    "pinned",
    "provisional_fingerprint",
    "quantization_key",
    "quantization_lacking",
    "quiet",
    "read_adapter",
    "read_manifest",
    "reading",
    "renderer_for",
    "resolve_model_path",
    "resolved_device",
    "resolved_dtype",
    "resolved_threads",
    "save_lora",
    "save_merged",
    "served_model",
    "shown",
    "smollm2",
    "stand_in",
    "stored_parameters",
    "target_modules",
    "write_manifest",
]

__getattr__ = lazy(__name__)
