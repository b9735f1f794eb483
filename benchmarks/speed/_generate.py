"""transformers' own generation, from the weights and adapters on disk: three ways that people use it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.speed._trl import silence

from puretune.inference import Request
from puretune.models import AdapterRef, BaseModel

Tokens = dict[str, tuple[int, ...]]


def cell_by_cell(base: BaseModel, asked: Sequence[Request], size: int) -> Tokens:
    """As the paper's released script: an adapter on the model, one cell after the other, batches of ``size``
    prompts in their order, padded on the left."""
    cells: dict[str, list[Request]] = defaultdict(list)
    for request in asked:
        cells[request.key.rpartition("/")[0]].append(request)
    found: Tokens = {}
    for adapter, mine in _by_adapter(asked):
        model = _model(base, adapter, merge=False)
        keys = dict.fromkeys(request.key.rpartition("/")[0] for request in mine)
        for key in keys:
            for part in _parts(cells[key], size):
                found |= _batch(model, base, part)
    return found


def in_batches(base: BaseModel, asked: Sequence[Request], size: int) -> Tokens:
    """Tuned: adapters merged into the weights, prompts of like length together, large batches."""
    found: Tokens = {}
    for adapter, mine in _by_adapter(asked):
        model = _model(base, adapter, merge=True)
        ordered = sorted(mine, key=lambda r: (r.decoding.max_new_tokens, len(r.prompt)))
        for longest in dict.fromkeys(r.decoding.max_new_tokens for r in ordered):
            alike = [r for r in ordered if r.decoding.max_new_tokens == longest]
            for part in _parts(alike, size):
                found |= _batch(model, base, part)
    return found


def continuous(base: BaseModel, asked: Sequence[Request]) -> Tokens:
    """transformers' continuous batching (``generate_batch``), adapters merged into the weights."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    # Left alone it takes nearly all of the machine's memory for its cache, and hours to fill it with zeros
    room = ContinuousBatchingConfig(page_size=32, num_blocks=2048, max_batch_tokens=2048)
    found: Tokens = {}
    for adapter, mine in _by_adapter(asked):
        model = _model(base, adapter, merge=True)
        for longest in dict.fromkeys(r.decoding.max_new_tokens for r in mine):
            alike = [r for r in mine if r.decoding.max_new_tokens == longest]
            config = GenerationConfig(
                max_new_tokens=longest,
                do_sample=False,
                eos_token_id=_stops(base),
                pad_token_id=_stops(base)[0],
            )
            with silence():
                answers = model.generate_batch(
                    [list(r.prompt) for r in alike],
                    generation_config=config,
                    continuous_batching_config=room,
                )
            found |= _in_order(alike, answers)
    return found


def _in_order(alike: Sequence[Request], answers: Any) -> Tokens:
    """``generate_batch`` numbers its requests in the order of the prompts."""
    outputs = sorted(answers.values(), key=lambda one: int(str(one.request_id).rpartition("_")[2]))
    if len(outputs) != len(alike):
        raise RuntimeError(f"{len(outputs)} of {len(alike)} requests were answered")
    return {r.key: tuple(one.generated_tokens) for r, one in zip(alike, outputs, strict=True)}


def _parts(items: Sequence[Request], size: int) -> Iterator[Sequence[Request]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _by_adapter(asked: Iterable[Request]) -> list[tuple[AdapterRef | None, list[Request]]]:
    groups: dict[str, tuple[AdapterRef | None, list[Request]]] = {}
    for request in asked:
        digest = request.adapter.digest if request.adapter else ""
        groups.setdefault(digest, (request.adapter, []))[1].append(request)
    return list(groups.values())


def _model(base: BaseModel, adapter: AdapterRef | None, merge: bool) -> Any:
    from transformers import AutoModelForCausalLM

    with silence():
        model = AutoModelForCausalLM.from_pretrained(base.path, dtype=base.model.dtype, local_files_only=True)
        if adapter is None:
            return model.eval()
        from peft import PeftModel

        adapted = PeftModel.from_pretrained(model, str(adapter.path))
        return (adapted.merge_and_unload() if merge else adapted).eval()


def _batch(model: Any, base: BaseModel, part: Sequence[Request]) -> Tokens:
    import torch

    width, pad = max(len(r.prompt) for r in part), _stops(base)[0]
    ids = torch.tensor([[pad] * (width - len(r.prompt)) + list(r.prompt) for r in part])
    mask = torch.tensor([[0] * (width - len(r.prompt)) + [1] * len(r.prompt) for r in part])
    with silence(), torch.no_grad():
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=part[0].decoding.max_new_tokens,
            do_sample=False,
            eos_token_id=_stops(base),
            pad_token_id=pad,
        )
    return {r.key: _cut(row, set(_stops(base))) for r, row in zip(part, out[:, width:].tolist(), strict=True)}


def _stops(base: BaseModel) -> list[int]:
    return sorted(base.renderer.stop_ids)


def _cut(ids: Sequence[int], stops: set[int]) -> tuple[int, ...]:
    """Up to the stop token and with it."""
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids) - 1)
    return tuple(ids[: end + 1])
