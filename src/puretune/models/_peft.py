"""Adapters that are more than plain LoRA: PEFT's own loader, on a copy of the base that is then thrown away.

Such adapters replace modules, train copies of layers or take their start out of the base's weights; on a
copy they cannot leave anything behind. PEFT only warns about what it did not use, so what it holds is
compared with the file, tensor by tensor.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor

from puretune import memory
from puretune.errors import InputError, PuretuneError
from puretune.models._adapter_files import PREFIX, AdapterFiles
from puretune.models._base_model import BaseModel
from puretune.models._hardware import free_memory
from puretune.models._library_errors import quiet, reason
from puretune.models._load import load_model
from puretune.visible import one_line, visible

_MERGEABLE = ("alpha_pattern", "init_lora_weights", "rank_pattern", "use_dora")
"""Fields that change linear layers alone, so that the merged weights are the same function."""

_SMALLER = "Use a smaller model, or merge the adapter into a checkpoint."


@contextmanager
def through_peft(base: BaseModel, files: AdapterFiles) -> Iterator[Any]:
    """The model that the adapter makes of a copy of the base, while the block runs.

    InputError where PEFT cannot load it, or did not use every tensor of the file, or something of the adapter
    is not in the file. EnvironmentFault if memory does not suffice for the copy.
    """
    try:
        yield _adapted(base, files).get_base_model()
    finally:
        free_memory()


def save_merged_by_peft(base: BaseModel, files: AdapterFiles, directory: Path) -> None:
    """Writes the model in which PEFT has merged the adapter; InputError if that is another function."""
    more = (files.more or "").partition(" ")[0]
    if more not in _MERGEABLE or any(not _is_low_rank(name) for name in files.shapes):
        raise InputError(
            f"{visible(files.path)}: an adapter with {files.more} is not the same once it is merged into its "
            "base. Use `engine: local`."
        )
    merged = _adapted(base, files).merge_and_unload()
    with quiet():
        merged.save_pretrained(str(directory))
    free_memory()


def _is_low_rank(name: str) -> bool:
    return name.endswith((".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"))


def _adapted(base: BaseModel, files: AdapterFiles) -> Any:
    where = visible(files.path)
    try:
        model = _copied(base)
        with quiet(), warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            wrapped: Any = PeftModel.from_pretrained(
                model, str(files.path), is_trainable=False, torch_device=str(base.device)
            )
            _check_use(wrapped, files)
            with (
                torch.inference_mode()
            ):  # some kinds do not fit some models, which shows here at the earliest
                wrapped(input_ids=torch.zeros((1, 2), dtype=torch.long, device=base.device))
    except PuretuneError:
        raise
    except Exception as error:  # PEFT raises whatever its layers raise
        if memory.is_shortage(error):
            raise memory.shortage(f"apply {where} to a second copy of the model", _SMALLER) from error
        raise InputError(
            f"{where}: PEFT cannot put this adapter ({files.more}) on {base.spec.model!r}: {reason(error)}. "
            "Check that it was made for this base."
        ) from error
    return wrapped.eval().requires_grad_(False)


def _copied(base: BaseModel) -> Any:
    if base.spec.quantization is not None:
        return load_model(base.path, base.spec)
    return copy.deepcopy(base.model)


def _check_use(wrapped: Any, files: AdapterFiles) -> None:
    """InputError unless the adapter in memory is the file, tensor by tensor, and nothing else."""
    tensors = load_file(files.weights)
    held = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    held |= _embeddings(wrapped, set(tensors) - set(held))
    where, said = visible(files.weights), f"with {files.more}"
    missing = sorted(set(held) - set(tensors))
    if missing:
        raise InputError(
            f"{where}: {one_line(missing[0])} is missing ({len(missing)} of {len(held)} tensors of an "
            f"adapter {said}). Save it again with PEFT's save_pretrained."
        )
    for name, tensor in tensors.items():
        if name not in held or not _same(tensor, held[name]):
            raise InputError(
                f"{where}: PEFT does not use {one_line(name)} in an adapter {said}, so it would not be "
                "applied in full. Check that the two files are of one training, and made for this base."
            )


def _embeddings(wrapped: Any, brought: set[str]) -> dict[str, Tensor]:
    """The base's embeddings as they are now, where the file has ``brought`` its own: PEFT saves both of them,
    or, where they are adapted, what is under the adapter."""
    state: Mapping[str, Tensor] = wrapped.state_dict()
    model = wrapped.get_base_model()
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    names = {id(module): name for name, module in model.named_modules()}
    plain = [f"{PREFIX}{names[id(layer)]}.weight" for layer in layers if id(layer) in names]
    under = [name.replace(".weight", ".base_layer.weight") for name in plain]
    both = plain if brought & set(plain) else []
    return {name: state[name] for name in (*both, *brought & set(under)) if name in state}


def _same(saved: Tensor, held: Tensor) -> bool:
    """Whether the tensor in memory is the saved one, as well as its number format can hold it."""
    cast = saved.to(held.dtype)
    finite = bool(torch.isfinite(cast).all())
    return saved.shape == held.shape and finite and torch.equal(cast, held.detach().cpu())
