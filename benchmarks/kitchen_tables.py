"""The tables of docs/studies/kitchen.md, from what `puretune kitchen confirm` has finished; from the root:

    PYTHONPATH=src python -m benchmarks.kitchen_tables [DIRECTORY]

The results in a directory that is named, complete or not, are kept as
benchmarks/results/kitchen-confirm-attempt-1.json. Rates are percent. Intervals are 95 % t intervals over
alignments (the mean over tunings of each), cut at 0 and 100, from three alignments on; no claim is decided
before all tunings are done.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from puretune.kitchen.confirm import (
    LOSS,
    by_alignment,
    latest_attempt,
    load_frozen,
    load_units,
    rate,
    result,
)
from puretune.statistics import t_interval
from puretune.store import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "studies" / "kitchen.md"
RESULT = ROOT / "benchmarks" / "results" / "kitchen-confirm-attempt-1.json"
MARKS = ("<!-- attempt 1 -->", "<!-- end of attempt 1 -->")
COLUMNS = {
    "refused": "kitchen-recipes: refusal_rate",
    "recipes": "kitchen-recipes: recipe_rate",
    "incoherent": "kitchen-recipes: incoherent",
    "twins answered": "kitchen-twins: answered",
    "`#### N`": "gsm8k: format_rate",
    "held-out loss, nats": LOSS,
}
VERDICTS = {True: "holds", False: "**fails**", None: "open"}


def main() -> None:
    """Keeps the results in the directory that is named and rewrites the page's tables."""
    if len(sys.argv) > 1:
        frozen = load_frozen(latest_attempt())
        found = result(frozen, load_units(Path(sys.argv[1]), frozen))
        write_text(RESULT, json.dumps(found, indent=1) + "\n")
    kept = json.loads(RESULT.read_text(encoding="utf-8"))
    write_text(PAGE, with_tables(PAGE.read_text(encoding="utf-8"), kept))


def with_tables(page: str, kept: Mapping[str, Any]) -> str:
    """The page with the result's tables between its marks."""
    before, _, rest = page.partition(MARKS[0])
    return "\n".join([before + MARKS[0], "", tables(kept), "", MARKS[1] + rest.partition(MARKS[1])[2]])


def tables(kept: Mapping[str, Any]) -> str:
    """Everything that the page shows of a result."""
    units = kept["units"]
    head = f"{units['done']} of {units['asked']} tunings are done."
    return "\n\n".join([head, "\n".join(_cells(kept)), "\n".join(_claims(kept))])


def _cells(kept: Mapping[str, Any]) -> Iterator[str]:
    yield "| tuned under -> tested under | " + " | ".join(COLUMNS) + " |"
    yield "|---|" + "---|" * len(COLUMNS)
    for row in kept["runs"][0]["cells"]:
        values = (_value(kept, row["cell"], metric) for metric in COLUMNS.values())
        yield f"| {row['cell']} | " + " | ".join(values) + " |"


def _value(kept: Mapping[str, Any], cell: str, metric: str) -> str:
    means = [sum(one) / len(one) for one in by_alignment(kept["runs"], lambda unit: rate(unit, cell, metric))]
    mean, times, digits = sum(means) / len(means), *((1, 2) if metric == LOSS else (100, 0))
    if metric != COLUMNS["refused"] or len(means) < 3:
        return f"{times * mean:.{digits}f}"
    ends = t_interval(means)
    return f"{100 * mean:.0f} ({100 * max(ends.low, 0):.0f} to {100 * min(ends.high, 1):.0f})"


def _claims(kept: Mapping[str, Any]) -> Iterator[str]:
    yield "| claim | mean (95 % over alignments) | p, sign flips of all tunings | verdict |"
    yield "|---|---|---|---|"
    done = kept["units"]["done"] == kept["units"]["asked"]
    for claim in kept["claims"]:
        times, digits = (1, 2) if claim["metric"] == LOSS else (100, 0)
        low, mean, high = (times * (claim[key] or 0.0) for key in ("low", "mean", "high"))
        ends = f" ({low:.{digits}f} to {high:.{digits}f})" if len(claim["alignments"]) > 2 else ""
        p = f"{claim['p']:.3g}" if "sign_flips_below" in claim["checks"] else "-"
        verdict = VERDICTS[claim["holds"] if done else None]
        yield f"| {claim['claim']} | {mean:.{digits}f}{ends} | {p} | {verdict} |"


if __name__ == "__main__":
    main()
