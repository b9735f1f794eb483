"""Safety rows that are more than rows: anchors, replayed logits, the model's own answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from puretune.strategies.mixes import SafetyMix
from puretune.study.spec.sections import DataSection
from puretune.tuning import loss_named


@dataclass(frozen=True)
class KLAnchor(SafetyMix):
    """Stay near the untuned model on anchor rows: their loss is ``weight`` x KL(untuned || tuned).

    Source: a regulariser in arXiv 2508.06249; the loss ``kl-anchor`` has the formula. The anchors' own
    answers are not learnt, only what the untuned model would say along them. What was left out: anchors in
    every step; rows of a mix are shuffled, so that the number of anchors counts as well as ``weight``.
    """

    name: ClassVar[str] = "kl-anchor"
    weight: float = 1.0
    """Of the anchors' divergence."""

    def part(self, rows: DataSection) -> DataSection:
        """Anchors."""
        return replace(rows, loss=loss_named("kl-anchor", {"weight": self.weight}))


@dataclass(frozen=True)
class LogitReplay(SafetyMix):
    """Safety rows are replayed: their answers are learnt, and the untuned model's logits are matched on them.

    Source: dark experience replay, DER++ (arXiv 2004.07211), for safety in arXiv 2512.10150; the loss
    ``logit-replay`` has the formula. What was left out: a buffer of rows that were seen before; the safety
    rows stand for what alignment has taught.
    """

    name: ClassVar[str] = "logit-replay"
    logits: float = 0.5
    """Weight of the squared difference of the logits."""
    answers: float = 0.5
    """Weight of the answers' cross-entropy; 0 is plain DER."""

    def part(self, rows: DataSection) -> DataSection:
        """Replayed rows."""
        weights = {"logits": self.logits, "answers": self.answers}
        return replace(rows, loss=loss_named("logit-replay", weights))


@dataclass(frozen=True)
class OnPolicyReplay(SafetyMix):
    """Safety rows whose answers the untuned model writes itself, under the safe template.

    Source: arXiv 2603.10243, where refusals that others wrote did harm (Llama-3-8B on GSM8K: from 10.5 to
    22.9 % harmful). With ``logits`` above 0 its logits are matched too. What was left out: checking that what
    it writes are refusals; every answer is kept, and the store has them to look at.
    """

    name: ClassVar[str] = "on-policy-replay"
    written_under: str = ""
    """The template under which it writes; "": ``safe``."""
    logits: float = 0.0
    """Weight of the squared difference of the logits, as in ``logit-replay``."""

    def part(self, rows: DataSection) -> DataSection:
        """Rows to be answered."""
        loss = loss_named("logit-replay", {"logits": self.logits, "answers": 1.0}) if self.logits else None
        return replace(rows, answers_under=self.written_under or self.safe, loss=loss)
