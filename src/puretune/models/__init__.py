"""Who is asked: base models with their tokenizers, adapters and their manifests."""

from puretune.models._adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    MANIFEST,
    Manifest,
    adapter_ref,
    check_adapter,
    read_manifest,
    write_manifest,
)
from puretune.models._apply import applied, save_merged
from puretune.models._fingerprint import cache_directory, fingerprint, provisional_fingerprint
from puretune.models._hardware import resolved_device, resolved_dtype
from puretune.models._lazy import LazyBase
from puretune.models._llama import Attend, PlainLlama, plain_llama
from puretune.models._load import (
    BaseModel,
    context_length,
    load_base,
    load_model,
    load_tokenizer,
    renderer_for,
)
from puretune.models._lora import (
    Lora,
    adapter_config,
    attached,
    load_lora,
    merged,
    new_lora,
    save_lora,
    target_modules,
)
from puretune.models._resolve import resolve_model_path
from puretune.models._size import parameters_per_token
from puretune.models._types import AdapterRef, Dtype, ModelSpec

__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "MANIFEST",
    "AdapterRef",
    "Attend",
    "BaseModel",
    "Dtype",
    "LazyBase",
    "Lora",
    "Manifest",
    "ModelSpec",
    "PlainLlama",
    "adapter_config",
    "adapter_ref",
    "applied",
    "attached",
    "cache_directory",
    "check_adapter",
    "context_length",
    "fingerprint",
    "load_base",
    "load_lora",
    "load_model",
    "load_tokenizer",
    "merged",
    "new_lora",
    "parameters_per_token",
    "plain_llama",
    "provisional_fingerprint",
    "read_manifest",
    "renderer_for",
    "resolve_model_path",
    "resolved_device",
    "resolved_dtype",
    "save_lora",
    "save_merged",
    "target_modules",
    "write_manifest",
]
