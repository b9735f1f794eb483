"""The Llama family as tensors, written once: tuning drives it with gradients, the local engine without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.decoder._attention import Attended, attention, attention_gradients
    from puretune.decoder._decoder import Attend, Decoder, Layer
    from puretune.decoder._families import FAMILIES, Join, decoder_of, in_detail, window_of
    from puretune.decoder._linear import Linears, joined, separate

__all__ = [
    "FAMILIES",
    "Attend",
    "Attended",
    "Decoder",
    "Join",
    "Layer",
    "Linears",
    "attention",
    "attention_gradients",
    "decoder_of",
    "in_detail",
    "joined",
    "separate",
    "window_of",
]

__getattr__ = lazy(__name__)
