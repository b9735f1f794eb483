"""7B and 8B shapes on a GPU: random weights, fixed seed, GSM8K's lengths of prompts and answers imposed.

    PYTHONPATH=src python -m benchmarks.gpu                          Llama-2-7B's shape
    PYTHONPATH=src python -m benchmarks.gpu --shape llama-3-8b
    PYTHONPATH=src python -m benchmarks.gpu --shape tiny --device cpu    a try of the script itself

Nothing is learnt and nothing is downloaded: the work of every token is real, its meaning is not. It needs
torch, transformers and peft; TRL and vLLM are measured where they are installed, and said to be absent where
they are not.
"""
