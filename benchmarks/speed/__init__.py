"""How fast, side by side with what people use otherwise: same weights, rows, tokens and number format.

    python -m benchmarks.speed             slices, under 15 minutes on two cores (``make bench``)
    python -m benchmarks.speed --full      the whole of it (``make bench-full``)
    python -m benchmarks.speed.tables      the tables of docs/performance.md, from the JSON

Interrupted, the same command goes on where it was. Peers: PEFT with TRL's SFTTrainer, one run per adapter;
transformers' ``generate`` and its continuous batching; vLLM, where ``make test-vllm`` has installed it.
"""
