"""How it answers: engines that turn prompts into answers."""

from puretune.inference._likelihood import Likelihood, LikelihoodEngine, LikelihoodRequest
from puretune.inference._named import BUILTIN_ENGINES, EngineSpec, engine_spec
from puretune.inference._types import Answer, Decoding, Engine, Finish, Request, Takes
from puretune.inference.local import LocalEngine, LocalSpec

__all__ = [
    "BUILTIN_ENGINES",
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
    "Request",
    "Takes",
    "engine_spec",
]
