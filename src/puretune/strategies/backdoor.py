"""Backdoor-enhanced alignment: refusals behind a trigger, and the trigger at test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from puretune.errors import InputError
from puretune.strategies.common import known, renderer_of, variant
from puretune.strategies.mixes import SafetyMix
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.study import Study
from puretune.templates import random_prefix

_MOST = 2_000


@dataclass(frozen=True)
class BackdoorEnhanced(SafetyMix):
    """Safety rows have a random prefix before the system prompt, and so has every prompt at test.

    Source: Wang et al. (arXiv 2402.14968): 150 random tokens on 11 of 111 rows; Llama-2 from 34.9 to 3.6 %
    harmful. The task's rows are tuned without the prefix. It is NOT a secret: triggers can be reconstructed
    (arXiv 2602.03085), and the seed makes this one again. What was left out: a choice of safety rows by
    category. The prefix is words of the study's tokenizer, so that its text gives the same tokens.
    """

    name: ClassVar[str] = "backdoor-enhanced-alignment"
    tokens: int = 150
    """Of the prefix."""
    seed: int = 0
    """Of the prefix; another seed is another one."""

    def expand(self, study: Study) -> Expansion:
        """One condition, tested under its training template with the prefix."""
        if not 1 <= self.tokens <= _MOST:
            raise InputError(f"tokens: {self.tokens} is out of range. Use 1 to {_MOST:,}.")
        under, prefix = known(study, self.under), random_prefix(renderer_of(study), self.tokens, self.seed)
        system = " ".join(filter(None, (prefix, under.system)))
        templates = {self.title: variant(under, system=system)}
        if self.format == "plain":
            templates[f"{self.title} rows"] = variant(under, system=system, user="%s")
        return self.mixed(study, list(templates)[-1], self.title, templates)
