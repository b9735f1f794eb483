"""Writes the tables of docs/statistics.md from the JSON that benchmarks/statistics.py made.

python benchmarks/statistics_tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("<!-- tables -->", "<!-- end of tables -->")


def main() -> None:
    result = json.loads((ROOT / "benchmarks/results/statistics.json").read_text())
    page = ROOT / "docs/statistics.md"
    before, rest = page.read_text().split(MARKS[0])
    text = f"{before}{MARKS[0]}\n\n{tables(result)}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"
    partial = page.with_name(page.name + ".partial")
    partial.write_text(text)
    partial.replace(page)


def tables(result: Row) -> str:
    """Coverage by method and rate, error rates and label cost, as Markdown."""
    parts = [
        [_made("Cells and comparisons", result["made"]["defaults"])],
        _cells(result["cells"]),
        _special(result["special_cells"]),
        _special(result["further_cells"]),
        _comparisons(result["comparisons"]),
        _exceptions(result["goals"]),
        [_made("The library's own intervals, tests and label costs below", result["made"]["library"])],
        _coverage(result["coverage"]),
        _head("Test at a nominal 5 %", ["errs in %"])
        + [_line(r["test"], [_percent(r["error_rate"], 1)]) for r in result["error_rates"]],
        _label_cost(result["label_cost"]),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _made(what: str, header: Row) -> str:
    """How a part was made: the two may come from two runs."""
    machine = f"{header['machine']['cpu']}, {header['machine']['cores']} cores"
    versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    ran = f"{header['wall_seconds']:.0f} s in one process"
    return f"{what}: made by `{header['command']}` ({machine}; {ran}; {versions})."


def _exceptions(goals: list[Row]) -> list[str]:
    """Every goal of the defaults with its allowance, and the situations that cover less than 94 %."""
    lines = _head("Demanded of the defaults", ["met"])
    lines += [
        _line(goal["goal"], ["yes" if goal["met"] else "**no**"]) for goal in goals if "kind" in goal["worst"]
    ]
    below = [row for goal in goals for row in goal.get("below", ())]
    named = sorted(f"{_situation(row)}: {_percent(row['coverage'], 1)} %" for row in below)
    return [*lines, "", f"Below 94 %: {'; '.join(named) or 'none'}."]


def _situation(row: Row) -> str:
    """A situation in a few words."""
    sd = f", seed sd {100 * row['seed_sd']:g}" if row.get("seed_sd") else ""
    rate = f", rate {row['rate']:.0%}" if "rate" in row else ""
    split = f", {row['categories']} categories" if row.get("categories", 1) > 1 else ""
    seeds = "1 seed" if row["seeds"] == 1 else f"{row['seeds']} seeds"
    return f"{row['kind']}, {seeds}, n = {row['prompts']}{rate}{sd}{split}"


def _cells(rows: list[Row]) -> list[str]:
    """Worst and median coverage of a default cell over rates, seed sds and categories."""
    sizes = sorted({row["prompts"] for row in rows})
    columns = [f"n = {n}: worst / median" for n in sizes]
    lines = _head("Cells by default: coverage in % over all rates, seed sds, categories", columns)
    for seeds in sorted({row["seeds"] for row in rows}):
        held = [
            sorted(r["coverage"] for r in rows if (r["seeds"], r["prompts"]) == (seeds, n)) for n in sizes
        ]
        shown = [f"{_percent(one[0], 1)} / {_percent(one[len(one) // 2], 1)}" for one in held]
        lines.append(_line(f"{seeds} seed{'s' if seeds > 1 else ''}", shown))
    return lines


def _special(rows: list[Row]) -> list[str]:
    lines = _head("Further cells", ["seeds", "n", "rate", "coverage, %", "half width, points"])
    for row in rows:
        counts = [str(row["seeds"]), str(row["prompts"]), f"{row['rate']:.0%}"]
        shown = [_percent(row["coverage"], 1), _percent(row["half_width"], 1)]
        kind = row["kind"]
        if "uncorrected" in row:
            kind += f" (uncorrected: coverage {_percent(row['uncorrected'], 1)} %)"
        lines.append(_line(kind, [*counts, *shown]))
    return lines


def _comparisons(rows: list[Row]) -> list[str]:
    lines = _head("Comparisons", ["seeds", "n", "difference found, %", "coverage, %", "half width, points"])
    for row in rows:
        shown = (_percent(row[key], 1) for key in ("rejected", "coverage", "half_width"))
        lines.append(_line(row["kind"], [str(row["seeds"]), str(row["prompts"]), *shown]))
    return lines


def _coverage(rows: list[Row]) -> list[str]:
    rates = sorted({row["rate"] for row in rows})
    lines = _head("Coverage in % of 95 % intervals, worst scenario, by rate", [f"{r:.0%}" for r in rates])
    for name, mine in _by_method(rows).items():
        worst = [min((r["coverage"] for r in mine if r["rate"] == rate), default=None) for rate in rates]
        lines.append(_line(name, ["-" if w is None else _percent(w, 1) for w in worst]))
    return lines


def _label_cost(rows: list[Row]) -> list[str]:
    rates = sorted({row["rate"] for row in rows})
    lines = _head("Labels in % of N: budget set beforehand / stopping, by rate", [f"{r:.0%}" for r in rates])
    for n, judge in sorted({(r["n"], r["judge"]) for r in rows}):
        costs = sorted(
            (r for r in rows if (r["n"], r["judge"]) == (n, judge)), key=lambda r: float(r["rate"])
        )
        cells = [f"{_percent(r['fixed_budget'], 0)} / {_percent(r['stopping'], 0)}" for r in costs]
        lines.append(_line(f"N = {n:,}, cheap judge: {judge}", cells))
    return lines


def _by_method(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        name = row["method"]
        if row["family"] == "share" and row["cluster_size"] > 1:
            name += f", clusters of {row['cluster_size']}"
        if row["family"] in ("share", "paired"):
            name += f", n = {row['n']}"
        found.setdefault(name, []).append(row)
    return found


def _head(title: str, columns: list[str]) -> list[str]:
    return [_line(title, columns), "|---" * (len(columns) + 1) + "|"]


def _line(name: str, cells: list[str]) -> str:
    return "| " + " | ".join([name, *cells]) + " |"


def _percent(value: float, digits: int) -> str:
    return f"{100 * value:.{digits}f}"


if __name__ == "__main__":
    main()
