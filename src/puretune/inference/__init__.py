"""Inference: engines that turn prompts into answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.inference._agreement import Agreement, agreement
from puretune.inference._journal import mend_journals
from puretune.inference._likelihood import Likelihood, LikelihoodEngine, LikelihoodRequest
from puretune.inference._registry import BUILTIN_ENGINES, EngineSpec, engine_spec
from puretune.inference._types import Answer, Decoding, Engine, Finish, Request, Takes
from puretune.inference.local import LocalSpec
from puretune.inference.openai import OpenAIEngine, OpenAISpec
from puretune.inference.vllm import VllmEngine, VllmSpec
from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.inference._local_engine import LocalEngine
    from puretune.inference._token_stream import stream_tokens

__all__ = [
    "BUILTIN_ENGINES",
    "Agreement",
    "Answer",
    "Decoding",
    "Engine",
    "EngineSpec",
    "Finish",
    "Likelihood",
    "LikelihoodEngine",
    "LikelihoodRequest",
    "LocalEngine",
    "LocalSpec",
    "OpenAIEngine",
    "OpenAISpec",
    "Request",
    "Takes",
    "VllmEngine",
    "VllmSpec",
    "agreement",
    "engine_spec",
    "mend_journals",
    "stream_tokens",
]

__getattr__ = lazy(__name__)
