"""Answering with an adapter: the model as it is while the adapter is on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.models._adapter import check_adapter
from puretune.models._load import BaseModel, load_model, quiet
from puretune.models._lora import adapter_config, attached, load_lora, merged, peculiarity
from puretune.models._types import AdapterRef


@contextmanager
def applied(base: BaseModel, ref: AdapterRef | None) -> Iterator[Any]:
    """The transformers model that ``ref`` makes of the base, for inference; the base returns unchanged.

    None is the base itself; a full checkpoint is a model of its own. In float32 plain LoRA is added into
    copies of the weights (faster); in half precision it stays beside them, where its small changes would
    be rounded away. Other kinds of adapters go through PEFT.
    """
    if ref is None:
        yield base.model
        return
    if ref.kind == "checkpoint":
        yield load_model(ref.path, base.spec)
        return
    if ref.kind == "served":
        raise InputError(
            f"{ref.served} stays with its provider and cannot answer here. Use `engine: openai`."
        )
    check_adapter(ref, base.spec, base.fingerprint)
    with _through_peft(base, ref) if peculiarity(adapter_config(ref.path)) else _plain(base, ref):
        yield base.model


def save_merged(base: BaseModel, ref: AdapterRef, directory: Path) -> None:
    """Writes the full model that an adapter makes of the base: its configuration and weights.

    In half precision the adapter's small changes are rounded to what the weights can hold.
    InputError where the adapter is of another base, or more than plain LoRA, or the base is quantised.
    """
    if base.spec.quantization is not None:
        raise InputError("an adapter cannot be merged into quantised weights. Use `adapters: lora`.")
    check_adapter(ref, base.spec, base.fingerprint)
    with merged(base.model, load_lora(ref.path, base.model)), quiet():
        base.model.save_pretrained(str(directory))


@contextmanager
def _plain(base: BaseModel, ref: AdapterRef) -> Iterator[None]:
    lora = load_lora(ref.path, base.model)
    whole = base.dtype_name == "float32" and base.spec.quantization is None
    with merged(base.model, lora) if whole else attached(base.model, lora):
        yield


@contextmanager
def _through_peft(base: BaseModel, ref: AdapterRef) -> Iterator[None]:
    from peft import PeftModel

    with quiet():
        wrapped = PeftModel.from_pretrained(base.model, str(ref.path), is_trainable=False)
    try:
        yield
    finally:
        wrapped.unload()
        base.model.requires_grad_(False)
