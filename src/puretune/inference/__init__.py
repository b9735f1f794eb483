"""How it answers: engines that turn prompts into answers."""

from puretune.inference._likelihood import Likelihood, LikelihoodEngine, LikelihoodRequest
from puretune.inference._types import Answer, Decoding, Engine, Finish, Request
from puretune.inference.local import LocalEngine

__all__ = [
    "Answer",
    "Decoding",
    "Engine",
    "Finish",
    "Likelihood",
    "LikelihoodEngine",
    "LikelihoodRequest",
    "LocalEngine",
    "Request",
]
