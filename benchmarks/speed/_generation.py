"""B6: the whole matrix answered (every adapter under every test template, all suites), greedily, in float32.

Every side gets the same token ids and answers in its own way. Answers are compared token for token with
those of puretune's engine. Loading weights and adapters is part of every run; a server's start is not.
puretune answers in two processes, as its studies do with a model of this size; so that this is no advantage
which others could have as well, the best of ``generate`` has a side in two processes too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu._floors import ceilings, parameters
from benchmarks.speed import _generate, _vllm
from benchmarks.speed._matrix import Matrix, base_model, matrix, requests, tasks
from benchmarks.speed._measure import alternate, in_new_process
from benchmarks.speed._record import Record, cores
from benchmarks.speed._two import Tokens, answered_in_two, queue_of, queues

from puretune.events import ignore
from puretune.inference import Request, engine_spec
from puretune.models import AdapterRef, LazyBase, ModelSpec, load_base
from puretune.tuning import DEFAULT_TUNER, tuner_named

NAME = "B6"
_SLICE_PROMPTS = 12
_SLICE_ADAPTERS = ("chat:vanilla", "chat:llama")
_BATCHES = (32, 64, 128, 256)

Ids = tuple[int, ...]
Answering = Callable[[], Tokens]


def measure(
    record: Record,
    repeats: int,
    full: bool,
    steps: int | None = None,
    prompts: int | None = None,
    only: Sequence[str] = (),
) -> None:
    """Adds to the record what it lacks of this item; ``steps`` and ``prompts`` cut it down, ``only`` names
    the sides that run (none: all, and cold starts)."""
    made = matrix(steps=steps, prompts=prompts or (None if full else _SLICE_PROMPTS))
    if not full:
        made = replace(made, train=tuple(one for one in made.train if one.name in _SLICE_ADAPTERS))
    item = record.item(NAME)
    with tempfile.TemporaryDirectory() as scratch:
        work = Work(made, Path(scratch))
        item["work"], item["failed"] = work.counts(), {}
        item.setdefault("floor", work.floor())
        settings = item.setdefault("settings", {"threads": cores()})
        if "batch" not in settings:
            settings["batch"] = _best_batch(work)
            record.save()
        sides = _sides(work, settings["batch"])
        if only:
            chosen = {name: work.side(answering) for name, answering in sides.items() if name in only}
            alternate(chosen, repeats, item, record.save)
            return
        with _vllm.server(work.job()) as vllm:
            if isinstance(vllm, str):
                item["failed"]["vLLM"] = vllm
            else:
                sides["vLLM"] = vllm
                settings["vLLM"] = vllm.version
            checked = {name: work.side(answering) for name, answering in sides.items()}
            alternate(checked, repeats, item, record.save)
        cold = {
            "generate, best batch": partial(
                in_new_process, _cold_theirs, work.base.spec, work.requests, settings["batch"]
            ),
            "puretune": partial(in_new_process, _cold_ours, work.base.spec, work.requests),
        }
        alternate(cold, repeats if full else 1, item.setdefault("cold", {}), record.save)


def _cold_ours(spec: ModelSpec, asked: list[Request]) -> None:
    as_studies_do(spec, asked)


def _cold_theirs(spec: ModelSpec, asked: list[Request], batch: int) -> None:
    _generate.in_batches(load_base(spec), asked, batch)


class Work:
    """The requests, and the answers that the others are compared with."""

    def __init__(self, made: Matrix, scratch: Path) -> None:
        self.made = made
        self.base = base_model(made, threads=cores())
        tuned = tuner_named(DEFAULT_TUNER).open(self.base).tune(tasks(made, scratch, seeds=(0,)), ignore)
        self.adapters: list[AdapterRef | None] = [None, *(ref for _, _, ref in tuned)]
        self.requests = list(requests(made, self.base, self.adapters))
        self.reference = answers_of(self.base.spec, self.requests)

    def counts(self) -> dict[str, int]:
        """What every side does in a run. A prefix is shared by all prompts of one (adapter, template)."""
        groups: dict[str, list[Request]] = {}
        for request in self.requests:
            groups.setdefault(queue_of(request), []).append(request)
        shared = sum(group[0].shared * (len(group) - 1) for group in groups.values())
        return {
            "adapters": len(self.adapters),
            "answers": len(self.requests),
            "prompt_tokens": sum(len(request.prompt) for request in self.requests),
            "shared_prompt_tokens": shared,
            "new_tokens": sum(len(ids) for ids in self.reference.values()),
        }

    def floor(self) -> dict[str, float]:
        """The least seconds that the products take at the rate of large ones on this machine: every token in
        no shared prefix through all layers once, the head for new ones; nothing for attention."""
        counts, head = self.counts(), self.base.model.get_output_embeddings().weight.numel()
        own = counts["prompt_tokens"] - counts["shared_prompt_tokens"] + counts["new_tokens"]
        operations = 2 * (parameters(self.base) * own + head * counts["new_tokens"])
        rate = ceilings(self.base)["flops"]
        return {"flops": rate, "seconds": operations / rate}

    def side(self, answering: Answering) -> Callable[[], dict[str, Any]]:
        """One run, and how many answers differ from the reference."""

        def run() -> dict[str, Any]:
            import torch

            torch.set_num_threads(cores())  # the side before may have left another number
            started = time.perf_counter()
            found = answering()
            taken = getattr(answering, "seconds", None) or time.perf_counter() - started
            differ = sum(found.get(key) != ids for key, ids in self.reference.items())
            return {"seconds": taken, "different_answers": differ}

        return run

    def job(self) -> dict[str, Any]:
        """The work as JSON values, for a peer in a process of its own."""
        return {
            "model": str(self.base.path),
            "adapters": [str(ref.path) if ref else None for ref in self.adapters],
            "stop": sorted(self.base.renderer.stop_ids),
            "context": self.base.context_length,
            "requests": [
                [r.key, list(r.prompt), int(r.key.split("/")[0]), r.decoding.max_new_tokens]
                for r in self.requests
            ],
        }


def answers_of(spec: ModelSpec, asked: Sequence[Request]) -> Tokens:
    """What puretune's engine answers in this process, the model loaded anew."""
    return _answers(LazyBase(spec), asked)


def as_studies_do(spec: ModelSpec, asked: Sequence[Request]) -> Tokens:
    """The same in two processes, which share the loaded model."""
    base = LazyBase(replace(spec, threads=1))
    assert base.base.context_length  # loaded before there are two
    return answered_in_two(asked, lambda some: _answers(base, some))


def _answers(base: LazyBase, asked: Sequence[Request]) -> Tokens:
    """Queue by queue, as in a study."""
    engine, found = engine_spec("local").open(base), dict[str, Ids]()
    for queue in queues(asked):
        found |= {one.key: one.token_ids for one in engine.generate(queue, ignore)}
    return found


def _sides(work: Work, batch: int) -> dict[str, Answering]:
    return {
        "generate, batch 8": lambda: _generate.cell_by_cell(work.base, work.requests, 8),
        "generate, best batch": lambda: _generate.in_batches(work.base, work.requests, batch),
        "generate, best batch, two processes": lambda: answered_in_two(
            work.requests, lambda some: _generate.in_batches(work.base, some, batch)
        ),
        "continuous batching": lambda: _generate.continuous(work.base, work.requests),
        "puretune": lambda: as_studies_do(work.base.spec, work.requests),
        "puretune, one process": lambda: answers_of(work.base.spec, work.requests),
    }


def _best_batch(work: Work) -> int:
    """The batch size at which merged weights and sorted prompts are fastest, on two adapters."""
    some = [request for request in work.requests if request.key.split("/")[0] in ("0", "1")]
    sizes = [size for size in _BATCHES if size < 2 * len(some)] or list(_BATCHES[:1])
    taken: dict[int, float] = {}
    for size in (*sizes, *sizes):  # the first round warms up
        started = time.perf_counter()
        _generate.in_batches(work.base, some, size)
        taken[size] = time.perf_counter() - started
    return min(taken, key=lambda size: taken[size])
