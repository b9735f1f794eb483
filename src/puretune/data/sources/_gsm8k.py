r"""GSM8K: grade-school word problems with worked solutions (Cobbe et al., arXiv 2110.14168).

{"question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many ...",
 "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 .\n#### 72"}
"""

from __future__ import annotations

from puretune.data._formats import Draft, single_turn, text_of
from puretune.data._row import Row
from puretune.data.sources._named_source import NamedSource


def _convert(row: Row) -> Draft:
    return single_turn(row, text_of(row, "question"), text_of(row, "answer"))


GSM8K = NamedSource(
    name="gsm8k",
    what="grade-school word problems; answers end in `#### N`",
    licence="MIT",
    home="https://huggingface.co/datasets/openai/gsm8k",
    hub="openai/gsm8k",
    config="main",
    splits={"train": 7473, "test": 1319},
    fields=("question", "answer"),
    convert=_convert,
)
