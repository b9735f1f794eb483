"""Why it happens: how far templates are from each other, and how far tuning moves the model under each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.mechanism._claims import Claim, claims
    from puretune.mechanism._distance_and_safety import Rates, Separation, measured_beside, separations
    from puretune.mechanism._prompt_distance import PromptDistance, edit_distance, prompt_distances
    from puretune.mechanism._run_files import finished_plan
    from puretune.mechanism._template_distance import TemplateDistance, template_distances
    from puretune.mechanism._token_divergence import Divergence, divergences, token_divergences

__all__ = [
    "Claim",
    "Divergence",
    "PromptDistance",
    "Rates",
    "Separation",
    "TemplateDistance",
    "claims",
    "divergences",
    "edit_distance",
    "finished_plan",
    "measured_beside",
    "prompt_distances",
    "separations",
    "template_distances",
    "token_divergences",
]

__getattr__ = lazy(__name__)
