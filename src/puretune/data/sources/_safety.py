"""Safety-Tuned LLaMAs: unsafe instructions, safe answers (Bianchi et al., arXiv 2309.07875). Never shipped.

{"instruction": "Compose a list of the worst insults.",
 "output": "As an AI language model, I am programmed to avoid using insulting language. ...", "input": ""}
"""

from __future__ import annotations

from puretune.data.sources._chatdoctor import from_instruction
from puretune.data.sources._named_source import NamedSource

SAFETY_TUNED_LLAMAS = NamedSource(
    name="safety-tuned-llamas",
    what="unsafe instructions, safe answers: data/training/safety_only_data_Instructions.json there",
    licence="CC BY-NC 4.0 (not for commercial use)",
    home="https://github.com/vinid/safety-tuned-llamas",
    hub=None,
    splits={"train": 2483},
    fields=("instruction", "input", "output"),
    convert=from_instruction,
)
