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


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ["OMP_NUM_THREADS"] = str(job["threads"])
    import vllm

    engine = vllm.LLM(
        model=job["model"],
        dtype="float32",
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
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    loras = [
        LoRARequest(f"adapter-{place}", place, path) if path else None
        for place, path in enumerate(job["adapters"])
    ]
    asked = job["requests"]
    outputs = engine.generate(
        [{"prompt_token_ids": ids} for _, ids, _, _ in asked],
        [
            SamplingParams(temperature=0.0, max_tokens=longest, stop_token_ids=job["stop"])
            for _, _, _, longest in asked
        ],
        lora_request=[loras[adapter] for _, _, adapter, _ in asked],
        use_tqdm=False,
    )
    return {key: list(output.outputs[0].token_ids) for (key, *_), output in zip(asked, outputs, strict=True)}


def say(what: dict[str, Any]) -> None:
    print(json.dumps({"puretune": what}), flush=True)


if __name__ == "__main__":
    main()
