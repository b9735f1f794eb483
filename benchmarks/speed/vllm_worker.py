"""Runs in vLLM's own environment: python vllm_worker.py JOB.json; then one answer per line read.

Set up as its documentation advises: prefix caching, all adapters in one engine, token ids in. The prefix
cache is emptied before every run, since nothing of a matrix is known before it is asked.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


def main() -> None:
    """Starts the engine, then answers the whole job for every line read."""
    job = json.loads(Path(sys.argv[1]).read_text())
    os.environ.update({**ENVIRONMENT, "OMP_NUM_THREADS": str(job["threads"])})
    import vllm

    engine = vllm.LLM(
        model=job["model"],
        skip_tokenizer_init=True,
        generation_config="vllm",
        dtype=job.get("dtype", "float32"),
        max_model_len=job["context"],
        max_num_seqs=256,
        enable_prefix_caching=True,
        enable_lora=True,
        max_loras=min(8, len(job["adapters"])),
        max_lora_rank=8,
        seed=0,
    )
    say({"version": vllm.__version__})
    for _ in sys.stdin:
        engine.reset_prefix_cache()
        started = time.perf_counter()
        answers = run(engine, job)
        say({"seconds": time.perf_counter() - started, "answers": answers})


def run(engine: Any, job: dict[str, Any]) -> dict[str, list[int]]:
    """All answers: first the base's alone, because a CPU batch with and without adapters mixes them up, then
    those of all adapters together."""
    adapted = [place for place, path in enumerate(job["adapters"]) if path]
    plain = [request for request in job["requests"] if request[2] not in adapted]
    others = [request for request in job["requests"] if request[2] in adapted]
    return ask(engine, job, plain) | ask(engine, job, others)


def ask(engine: Any, job: dict[str, Any], asked: list[Any]) -> dict[str, list[int]]:
    """The answers to some requests, in one call."""
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    loras = [
        LoRARequest(f"adapter-{place}", place + 1, path) if path else None
        for place, path in enumerate(job["adapters"])
    ]
    outputs = engine.generate(
        [{"prompt_token_ids": ids} for _, ids, _, _ in asked],
        [
            SamplingParams(temperature=0.0, max_tokens=longest, stop_token_ids=job["stop"], detokenize=False)
            for _, _, _, longest in asked
        ],
        lora_request=[loras[adapter] for _, _, adapter, _ in asked],
        use_tqdm=False,
    )
    return {key: list(output.outputs[0].token_ids) for (key, *_), output in zip(asked, outputs, strict=True)}


def say(what: dict[str, Any]) -> None:
    """One line for whoever started this."""
    print(json.dumps({"puretune": what}), flush=True)


if __name__ == "__main__":
    main()
