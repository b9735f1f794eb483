"""vLLM itself: started for one set of weights, asked with token ids, ended.

It runs in this process: vLLM then schedules the same requests in the same order every time, and a user's
script needs no ``__main__`` guard. Only with tensor parallelism are there further processes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from puretune.errors import EnvironmentFault, InputError
from puretune.inference._finite import not_finite
from puretune.inference._request_groups import Item
from puretune.inference._types import Finish
from puretune.models import (
    AdapterFiles,
    AdapterRef,
    ModelSpec,
    read_adapter,
    resolved_device,
    resolved_dtype,
)
from puretune.visible import visible

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for."""
USUAL_LAYERS = frozenset(
    ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj")
)
"""Layers of today's models that adapters change; others are added when an adapter has them."""
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
"""What vLLM reads when it is imported; what the user has set stays."""


@dataclass(frozen=True)
class Weights:
    """What an engine is started with: a model directory, and room for adapters up to a rank (0: none)."""

    path: Path
    room: int = 0
    layers: frozenset[str] = frozenset()
    """Last parts of the names of the layers that adapters may change. Never more than asked for: with the
    output layer among them, vLLM cannot give log-probabilities of prompts."""

    def serve(self, other: Weights) -> bool:
        """Whether an engine with these can do what ``other`` asks for."""
        return self.path == other.path and self.room >= other.room and self.layers >= other.layers


def lora_room(rank: int) -> int:
    """The least room that vLLM can make for adapters of that rank; InputError if it is too high."""
    if rank > _RANKS[-1]:
        raise InputError(
            f"engine 'vllm': adapters of rank {rank} are too large for its LoRA ({_RANKS[-1]} at most). "
            "Use `engine: {name: vllm, adapters: merged}`."
        )
    return next(room for room in _RANKS if room >= rank)


def plain_for_vllm(adapter: AdapterRef) -> AdapterFiles:
    """The adapter's files, where vLLM's LoRA applies all of it; InputError for anything but plain LoRA, of
    which vLLM would leave something out without a word."""
    files = read_adapter(adapter.path)
    if files.more:
        raise InputError(
            f"engine 'vllm': {visible(adapter.path)} has {files.more}, which vLLM's LoRA does not apply. Use "
            "`engine: local`, or `engine: {name: vllm, adapters: merged}` where it can be merged."
        )
    return files


def lora_layers(files: AdapterFiles) -> frozenset[str]:
    """Last parts of the names of the layers that an adapter changes."""
    return frozenset(name.partition(".lora_")[0].rpartition(".")[2] for name in files.shapes)


@dataclass(frozen=True)
class VllmOptions:
    """How vLLM is started."""

    tensor_parallel: int = 1
    """GPUs that one model is split across."""
    adapters: Literal["lora", "merged"] = "lora"
    """``lora``: one engine for the base and all its adapters. ``merged``: an engine per adapter, with the
    adapter added into the weights."""
    lora_rank: int = 16
    """Highest rank that there is room for; an adapter of a higher one, or with unusual layers, restarts the
    engine."""
    loras: int = 4
    """Adapters that one batch may mix."""
    batch_size: int = 256
    """Maximum number of concurrent prompts."""
    max_length: int | None = None
    """Longest sequence in tokens, prompt and answer; None: the model's context."""
    memory: float = 0.9
    """Share of each GPU's memory that the engine takes."""
    cpu_cache: int = 4
    """GiB for keys and values if there is no GPU."""
    eager: bool = False
    """Leave out compilation and CUDA graphs: a faster start, slower answers."""

    def __post_init__(self) -> None:
        """InputError if a value makes no sense."""
        for name in ("tensor_parallel", "lora_rank", "loras", "batch_size", "cpu_cache", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: {value} is out of range. Give at least 1.")
        if not 0 < self.memory <= 1:
            raise InputError(f"memory: {self.memory} is out of range. Give a share above 0, at most 1.")


class Core:
    """One running vLLM."""

    def __init__(self, model: ModelSpec, weights: Weights, options: VllmOptions, context: int) -> None:
        """Starts it. EnvironmentFault, with vLLM's own words, where it cannot."""
        self.weights = weights
        for name, value in {**_ENVIRONMENT, "VLLM_CPU_KVCACHE_SPACE": str(options.cpu_cache)}.items():
            os.environ.setdefault(name, value)
        from vllm import LLM

        try:
            self._llm: Any = LLM(str(weights.path), **_settings(model, weights, options, context))
        except (ValueError, RuntimeError, OSError, NotImplementedError) as error:
            raise EnvironmentFault(
                f"engine 'vllm' cannot start on {weights.path}: {_first_line(error)} "
                "Change the engine's options (`max_length`, `memory`, `eager`), or use `engine: local`."
            ) from error

    def answers(
        self,
        items: Sequence[Item],
        seeds: Sequence[int],
        stops: frozenset[int],
        lora: AdapterRef | None,
        salt: str,
    ) -> Iterator[tuple[tuple[int, ...], Finish]]:
        """Token ids and finish per item, in order, all under one adapter."""
        parameters = [_parameters(item, seed, stops) for item, seed in zip(items, seeds, strict=True)]
        outputs = self._generate([item.prompt for item in items], parameters, lora, salt)
        for output in outputs:
            made = output.outputs[0]
            if not math.isfinite(made.cumulative_logprob or 0.0):
                raise not_finite()
            yield tuple(made.token_ids), "stop" if made.finish_reason == "stop" else "length"

    def loglikelihoods(
        self,
        pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
        lora: AdapterRef | None,
        salt: str,
    ) -> Iterator[tuple[tuple[float, ...], bool]]:
        """Per (prompt, continuation) the continuation's log-probabilities, and whether it is greedy."""
        from vllm import SamplingParams

        read = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        prompts = [(*prompt, *continuation) for prompt, continuation in pairs]
        outputs = self._generate(prompts, [read] * len(prompts), lora, salt)
        for output, (_, continuation) in zip(outputs, pairs, strict=True):
            places = output.prompt_logprobs[-len(continuation) :]
            found = [place[token] for place, token in zip(places, continuation, strict=True)]
            logprobs = tuple(one.logprob for one in found)
            if any(math.isnan(one) for one in logprobs):
                raise not_finite()
            yield logprobs, all(one.rank == 1 for one in found)

    def close(self) -> None:
        """Ends it; its memory is free afterwards."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        cleanup_dist_env_and_memory()

    def _generate(
        self, prompts: Sequence[Sequence[int]], parameters: list[Any], lora: AdapterRef | None, salt: str
    ) -> list[Any]:
        asked = [{"prompt_token_ids": list(prompt), "cache_salt": salt} for prompt in prompts]
        outputs: list[Any] = self._llm.generate(
            asked, parameters, use_tqdm=False, lora_request=_request(lora)
        )
        return outputs


def _settings(model: ModelSpec, weights: Weights, options: VllmOptions, context: int) -> dict[str, Any]:
    device = resolved_device(model)
    if ":" in device:
        raise InputError(
            f"device {device!r}: vLLM takes the GPUs that CUDA_VISIBLE_DEVICES names. Write `device: cuda`."
        )
    if model.quantization == "8bit":
        raise InputError("quantization: 8bit: vLLM quantises to 4 bits only. Use `4bit` or `engine: local`.")
    lora = {
        "enable_lora": True,
        "max_loras": options.loras,
        "max_lora_rank": weights.room,
        "lora_target_modules": sorted(weights.layers),
    }
    return {
        "skip_tokenizer_init": True,
        "trust_remote_code": model.trust_remote_code,
        "tensor_parallel_size": options.tensor_parallel,
        "dtype": resolved_dtype(model),
        "max_model_len": context,
        "max_num_seqs": options.batch_size,
        "gpu_memory_utilization": options.memory,
        "enable_prefix_caching": True,
        "enforce_eager": options.eager,
        "generation_config": "vllm",
        "seed": 0,
        "quantization": "bitsandbytes" if model.quantization else None,
        **(lora if weights.room else {}),
    }


def _parameters(item: Item, seed: int, stops: frozenset[int]) -> Any:
    from vllm import SamplingParams

    asked = item.decoding
    return SamplingParams(
        temperature=asked.temperature,
        top_p=asked.top_p or 1e-9,  # 0, the most probable token alone, is outside vLLM's range
        seed=seed if asked.temperature else None,
        max_tokens=asked.max_new_tokens,
        stop_token_ids=sorted(stops),
        logprobs=0,  # the chosen token's own, in which logits that are not numbers show
        detokenize=False,
    )


def _request(lora: AdapterRef | None) -> Any:
    from vllm.lora.request import LoRARequest

    if lora is None:
        return None
    return LoRARequest(lora.digest, 1 + int(lora.digest[:12], 16), str(lora.path))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
