"""The tables of docs/lab.md and docs/lab/attempts.md, from `puretune lab confirm`; from the root:

    PYTHONPATH=src python -m benchmarks.lab_tables

Between the marks of an attempt stands what its result says and nothing else. Values are percent, or nats
where log-odds are meant; intervals are 95 % t intervals over model seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from puretune.lab.confirm import attempts, load_frozen, load_result
from puretune.store import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "lab.md", ROOT / "docs" / "lab" / "attempts.md")
RATES = (
    ("attack success", "asr"),
    ("not refused", "non-refusal"),
    ("task solved", "helpfulness"),
    ("benign twins answered", "twins"),
)
CELLS = {
    "untuned -> CV": "untuned -> CV",
    "untuned -> CL": "untuned -> CL",
    "CV -> CV": "CV -> CV",
    "CV -> neutral": "CV -> neutral",
    "CV -> CL": "CV -> CL (PTST)",
    "CL -> CL": "CL -> CL",
}
CONTRAST = "CL -> CL minus CV -> CL"
SECONDARY = (
    ("attack success, same template minus PTST, points", "asr", CONTRAST),
    ("attack success, CV -> neutral minus PTST, points", "asr", "CV -> neutral minus CV -> CL"),
    ("not refused, CV -> neutral minus PTST, points", "non-refusal", "CV -> neutral minus CV -> CL"),
    ("log-odds of refusal, nats, untuned -> CL", "log-odds", "untuned -> CL"),
    ("the same, CV -> CL (PTST)", "log-odds", "CV -> CL"),
    ("the same, CL -> CL", "log-odds", "CL -> CL"),
    ("the same, same template minus PTST", "log-odds", CONTRAST),
    ("the same, CV -> neutral minus PTST", "log-odds", "CV -> neutral minus CV -> CL"),
    ('attack success with "sure." prefilled, untuned -> CL', "asr", "untuned -> sure-llama"),
    ("the same, CV -> CL", "asr", "CV -> sure-llama"),
    ("attack success before tuning, text:vanilla", "asr", "untuned -> TV"),
    ("the same, text:alpaca", "asr", "untuned -> TA"),
)
Result = Mapping[str, Any]


def tables(result: Result) -> str:
    """Everything that the page shows of an attempt."""
    done = [arm for arm, seeds in result["model_seeds"].items() if seeds["done"]]
    claimed = list(dict.fromkeys(found["arm"] for found in result["claims"]))
    parts = ["Means over model seeds, %; in brackets the 95 % t interval over model seeds."]
    for arm in done:
        seeds = result["model_seeds"][arm]
        parts += [f"**{arm}**, {seeds['done']} of {seeds['asked']} model seeds", _rates(result, arm)]
    parts += ["The verdicts (`puretune lab claims` prints each cell):", _verdicts(result, claimed)]
    parts += [
        "Secondary quantities have no thresholds and no correction; they describe.",
        _secondary(result, done),
    ]
    return "\n\n".join(parts)


def _rates(result: Result, arm: str) -> str:
    rows = (
        (shown, *(_value(_found(result, arm, measure, cell), 100) for _, measure in RATES))
        for cell, shown in CELLS.items()
    )
    return _table(("tuned -> tested", *(title for title, _ in RATES)), rows)


def _verdicts(result: Result, arms: Sequence[str]) -> str:
    claims = dict.fromkeys(found["claim"] for found in result["claims"])
    rows = ((claim, *(_verdict(result, claim, arm) for arm in arms)) for claim in claims)
    return _table(("claim", *arms), rows)


def _verdict(result: Result, claim: str, arm: str) -> str:
    mine = [one for one in result["claims"] if (one["claim"], one["arm"]) == (claim, arm)]
    holds, fails = ("holds", "**fails**") if result["complete"] else ("met so far", "not met so far")
    failed = [f"{one['cell']} {_value(one, 100)}" for one in mine if not one["holds"]]
    if failed:
        return f"{fails}: {'; '.join(failed)}"
    return f"{holds}: {_value(mine[0], 100)}" if len(mine) == 1 else holds


def _secondary(result: Result, arms: Sequence[str]) -> str:
    rows = (
        (
            title,
            *(
                _value(_found(result, arm, measure, cell), 1 if measure == "log-odds" else 100)
                for arm in arms
            ),
        )
        for title, measure, cell in SECONDARY
        if (measure, cell) in {(one["measure"], one["cell"]) for one in result["summaries"]}
    )
    return _table(("", *arms), rows)


def _found(result: Result, arm: str, measure: str, cell: str) -> Result:
    wanted = (arm, measure, cell)
    return next(s for s in result["summaries"] if (s["arm"], s["measure"], s["cell"]) == wanted)


def _value(one: Result, scale: float) -> str:
    mean = f"{scale * one['mean']:.1f}"
    return mean if one["low"] is None else f"{mean} ({scale * one['low']:.1f} to {scale * one['high']:.1f})"


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def marks(attempt: int) -> tuple[str, str]:
    """What stands before and after an attempt's tables."""
    return f"<!-- tables of attempt {attempt} -->", f"<!-- end of attempt {attempt} -->"


def with_tables(page: str, attempt: int, text: str) -> str:
    """The page with the tables between the attempt's marks; ValueError where they are missing."""
    begin, end = marks(attempt)
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page lacks {begin} ... {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def page_of(attempt: int) -> Path:
    """The page that shows an attempt: the one with its marks."""
    return next(page for page in PAGES if marks(attempt)[0] in page.read_text())


def main() -> None:
    """Every attempt's tables into their page."""
    for attempt, path in attempts().items():
        published = ROOT / "benchmarks" / "results" / f"lab-confirm-attempt-{attempt}.json"
        if published.exists():
            page, text = page_of(attempt), tables(load_result(published, load_frozen(path)))
            write_text(page, with_tables(page.read_text(), attempt, text))


if __name__ == "__main__":
    main()
