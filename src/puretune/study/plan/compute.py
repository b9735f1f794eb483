"""How many GPU-hours a plan will take: an estimate, with everything it rests on.

    tuning       tokens x 4N FLOPs: forward 2N, and 2N back through the frozen weights to the adapters
    answering    tokens x 2N FLOPs, prompts and answers alike, every answer at its greatest length

N is the number of parameters that a token is multiplied with. Attention, a tenth or less of the work at
these lengths, is not counted, nor is anything saved by sharing prefixes.
"""

from __future__ import annotations

from dataclasses import dataclass

TUNE_FLOPS, ANSWER_FLOPS = 4, 2
"""Per parameter and token. Full fine-tuning would take 6."""


@dataclass(frozen=True)
class Throughput:
    """Floating-point operations a second that one GPU is assumed to reach.

    The defaults are guesses for an A100: 40 % of its bf16 peak (312e12) in tuning, 10 % in answering, where
    reading the weights for every token takes most of the time. Measure yours and say so.
    """

    tune: float = 120e12
    answer: float = 30e12


@dataclass(frozen=True)
class Compute:
    """The work that is left of a plan, in tokens, and the size of the model that does it."""

    parameters: int
    """N."""
    tune_tokens: int
    prompt_tokens: int
    new_tokens: int
    """The most that answers can have."""

    def tune_hours(self, throughput: Throughput) -> float:
        """GPU-hours of tuning."""
        return TUNE_FLOPS * self.parameters * self.tune_tokens / throughput.tune / 3600

    def answer_hours(self, throughput: Throughput) -> float:
        """The most GPU-hours that answering can take."""
        tokens = self.prompt_tokens + self.new_tokens
        return ANSWER_FLOPS * self.parameters * tokens / throughput.answer / 3600
