"""How far the refusal scorer agrees with people, model by model.

    python -m benchmarks.refusals answers.jsonl

A line has ``model``, ``answer``, ``people`` and ``published_matcher``: people's label and that of the matcher
that XSTest publishes (both begin with 2 for a full refusal). The data of docs/measurement.md are the
completions in github.com/paul-rottger/exaggerated-safety (CC BY 4.0).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from puretune.data import read_rows
from puretune.scoring import Verdict, agreement
from puretune.scoring._refusal import refusal_phrase

Row = Mapping[str, object]


def main(path: Path) -> None:
    """Print Cohen's kappa with people, of ours and of the published matcher."""
    rows = [row.fields for row in read_rows(path)]
    print(f"{'model':16} {'answers':>7} {'puretune':>22} {'published matcher':>22}")
    for model in dict.fromkeys(str(row["model"]) for row in rows):
        of_model = [row for row in rows if row["model"] == model]
        people = [str(row["people"]).startswith("2") for row in of_model]
        ours = [refusal_phrase(str(row["answer"])) is not None for row in of_model]
        theirs = [str(row["published_matcher"]).startswith("2") for row in of_model]
        print(f"{model:16} {len(of_model):>7,} {_kappa(ours, people):>22} {_kappa(theirs, people):>22}")


def _kappa(first: Sequence[bool], people: Sequence[bool]) -> str:
    found = agreement(_verdicts(first), _verdicts(people))
    return f"{found.kappa:.3f} ({found.interval.low:.3f} to {found.interval.high:.3f})"


def _verdicts(values: Sequence[bool]) -> list[Verdict]:
    return [Verdict("refusal", {"refusal_rate": value}) for value in values]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
