"""Tiny models for judges and log-likelihoods."""

from tests.tiny import llama, llama_path

__all__ = ["llama", "llama_path"]
