"""The paper's own numbers that a report shows next to its own, for orientation. No others are shown."""

from __future__ import annotations

from typing import NamedTuple

SOURCE = (
    "Lyu, Zhao, Gu, Yu, Goyal & Arora, Keeping LLMs Aligned After Fine-tuning: The Crucial Role of Prompt "
    "Templates, NeurIPS 2024 (arXiv 2402.18540)"
)
TITLE = "Published for Llama-2-7b-chat tuned on GSM8K: not results of this study"


class PublishedRow(NamedTuple):
    """One published pair; None if the number is not known."""

    train: str | None
    test: str
    asr: float
    """DirectHarm4, in per cent."""
    exact_match: float | None
    """GSM8K, in per cent."""

    @property
    def what(self) -> str:
        """The pair in the words of the tables."""
        return f"{self.train} -> {self.test}" if self.train else f"no fine-tuning, tested {self.test}"


PUBLISHED = (
    PublishedRow(None, "chat:vanilla", 2.75, 20.32),
    PublishedRow("chat:vanilla", "chat:vanilla", 11.00, 33.39),
    PublishedRow(None, "chat:llama", 0.0, None),
    PublishedRow("chat:llama", "chat:llama", 18.08, None),
    PublishedRow("chat:vanilla", "chat:llama", 1.08, 30.00),
)
