"""Answering with an adapter: the model as it is while the adapter is on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.models._adapter import check_adapter
from puretune.models._adapter_files import AdapterFiles, read_adapter
from puretune.models._base_model import BaseModel
from puretune.models._library_errors import quiet
from puretune.models._load import load_model
from puretune.models._lora import attached, merged, plain_lora
from puretune.models._peft import save_merged_by_peft, through_peft
from puretune.models._types import AdapterRef, CheckpointRef, TunedModel, on_disk


@contextmanager
def applied(base: BaseModel, ref: TunedModel | None) -> Iterator[Any]:
    """The transformers model that ``ref`` makes of the base, for inference; the base returns unchanged.

    None is the base itself; a full checkpoint is a separate model. In float32 plain LoRA is added into
    copies of the weights (faster); in half precision it stays separate, where its small changes would
    be rounded away. Other kinds of adapters go through PEFT, on a copy of the base.
    """
    ref = on_disk(ref)
    if ref is None:
        yield base.model
        return
    if isinstance(ref, CheckpointRef):
        yield load_model(ref.path, base.spec)
        return
    check_adapter(ref, base.spec, base.fingerprint)
    files = read_adapter(ref.path)
    with through_peft(base, files) if files.more else _plain(base, files) as model:
        yield model


def save_merged(base: BaseModel, ref: AdapterRef, directory: Path) -> None:
    """Writes the full model that an adapter makes of the base: its configuration and weights.

    In half precision the adapter's small changes are rounded to what the weights can hold.
    InputError if the adapter is of another base, or changes what cannot be merged, or the base is
    quantised.
    """
    if base.spec.quantization is not None:
        raise InputError("an adapter cannot be merged into quantised weights. Use `adapters: lora`.")
    check_adapter(ref, base.spec, base.fingerprint)
    files = read_adapter(ref.path)
    if files.more:
        save_merged_by_peft(base, files, directory)
        return
    with merged(base.model, plain_lora(files, base.model)), quiet():
        base.model.save_pretrained(str(directory))


@contextmanager
def _plain(base: BaseModel, files: AdapterFiles) -> Iterator[Any]:
    lora = plain_lora(files, base.model)
    whole = base.dtype_name == "float32" and base.spec.quantization is None
    with merged(base.model, lora) if whole else attached(base.model, lora):
        yield base.model
