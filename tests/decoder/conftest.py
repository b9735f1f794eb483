"""The tiny models that this room's tests share."""

from tests.tiny import llama, llama_path

__all__ = ["llama", "llama_path"]
