"""The real tokenizer that this room's tests share."""

from tests.real_tokenizers import mistral, mistral_path

__all__ = ["mistral", "mistral_path"]
