"""Parity with vLLM, which has an environment of its own: ``make test-vllm``."""
