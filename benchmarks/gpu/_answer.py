"""Answering: GSM8K's prompts at the shape, under five templates, every answer as long as the real one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.gpu._floors import answer_floor, wait
from benchmarks.gpu._shape import Unstoppable, examples, templates
from benchmarks.gpu.lengths import read
from benchmarks.speed._measure import alternate

from puretune.events import ignore
from puretune.inference import Decoding, LocalEngine, Request
from puretune.models import BaseModel

_BATCHES = (32, 64, 128)
_TOGETHER = 128


def measure(
    base: BaseModel, ceiling: dict[str, float], prompts: int, repeats: int, item: dict[str, Any], save: Any
) -> None:
    """Adds runs, tokens and the floor to ``item``."""
    base = replace(base, renderer=Unstoppable(base.tokenizer))
    asked = _requests(base, prompts)
    prompt, new = sum(len(r.prompt) for r in asked), sum(r.decoding.max_new_tokens for r in asked)
    item["work"] = {"answers": len(asked), "prompt_tokens": prompt, "new_tokens": new}
    item["floor_seconds"] = answer_floor(base, prompt, new, _TOGETHER, ceiling)
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        "puretune": _timed(base, lambda: _ours(base, asked)),
        "generate, batch 8": _timed(base, lambda: _theirs(base, asked, 8)),
        **{f"generate, batch {size}": _timed(base, _generate(base, asked, size)) for size in _BATCHES},
    }
    alternate(sides, repeats, item, save)


def _requests(base: BaseModel, prompts: int) -> list[Request]:
    pairs = read("test")[:prompts]
    vocabulary = base.model.config.vocab_size
    asked = examples(pairs, vocabulary, answered=False)
    return [
        Request(
            f"{template.name}/{place}",
            base.renderer.prompt(template, example.prompt_messages).ids,
            None,
            Decoding(longest),
        )
        for template in templates(vocabulary)
        for place, (example, (_, longest)) in enumerate(zip(asked, pairs, strict=True))
    ]


def _timed(base: BaseModel, work: Callable[[], int]) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        wait(base.device)
        started = time.perf_counter()
        useful = work()
        wait(base.device)
        return {"seconds": time.perf_counter() - started, "new_tokens": useful}

    return run


def _ours(base: BaseModel, asked: Sequence[Request]) -> int:
    return sum(len(answer.token_ids) for answer in LocalEngine(base).generate(asked, ignore))


def _generate(base: BaseModel, asked: Sequence[Request], size: int) -> Callable[[], int]:
    alike = sorted(asked, key=lambda r: (r.decoding.max_new_tokens, len(r.prompt)))
    return lambda: _theirs(base, alike, size)


def _theirs(base: BaseModel, asked: Sequence[Request], size: int) -> int:
    """``generate`` in batches, padded on the left; a batch goes on until its longest answer is done."""
    import torch

    useful = 0
    for first in range(0, len(asked), size):
        part = asked[first : first + size]
        width = max(len(r.prompt) for r in part)
        ids = torch.tensor([[0] * (width - len(r.prompt)) + list(r.prompt) for r in part], device=base.device)
        with torch.no_grad():
            base.model.generate(
                input_ids=ids,
                attention_mask=(
                    torch.arange(width, device=base.device) >= _padding(part, width, base)
                ).long(),
                max_new_tokens=max(r.decoding.max_new_tokens for r in part),
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
            )
        useful += sum(r.decoding.max_new_tokens for r in part)
    return useful


def _padding(part: Sequence[Request], width: int, base: BaseModel) -> Any:
    import torch

    return torch.tensor([[width - len(r.prompt)] for r in part], device=base.device)
