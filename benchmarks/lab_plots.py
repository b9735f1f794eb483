"""The plots of docs/lab.md, from a result of `puretune lab confirm`; run from the repository's root:

    python benchmarks/lab_plots.py benchmarks/results/lab-confirm-attempt-2.json --out docs/lab/attempt-2

Needs matplotlib, which comes with the `plots` extra. Every point is one model seed, the mean over its tuning
seeds; bars are means with 95 % t intervals over model seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MAIN = {"as-shipped": "#b4481e", "no-ingredients": "#1b6b58"}
ARMS = {**MAIN, "randomised": "#5d4796", "small": "#2c5a8f", "large": "#8a6d1b"}
PANELS = (
    ("asr", "attack success rate, %"),
    ("non-refusal", "not refused, %"),
    ("helpfulness", "task solved, %"),
)
CELLS = ("untuned -> CV", "untuned -> CL", "CV -> CV", "CV -> neutral", "CV -> CL", "CL -> CL")


def found(result: Mapping[str, Any], arm: str, measure: str, cell: str) -> Mapping[str, Any] | None:
    """The summary of that arm, measure and cell, where the result has it."""
    wanted = (arm, measure, cell)
    return next((s for s in result["summaries"] if (s["arm"], s["measure"], s["cell"]) == wanted), None)


def panel(axes: Any, result: Mapping[str, Any], arms: Sequence[str], measure: str, scale: float) -> None:
    """One measure over all cells: the seeds as dots, mean and interval as a bar beside them."""
    for place, cell in enumerate(CELLS):
        for number, arm in enumerate(arms):
            one = found(result, arm, measure, cell)
            if one is None:
                continue
            y = place + 0.18 * (number - (len(arms) - 1) / 2)
            values = [scale * value for value in one["values"]]
            axes.plot(values, [y] * len(values), "o", color=ARMS[arm], alpha=0.35, markersize=4)
            ends = [one["mean"] if one[end] is None else one[end] for end in ("low", "high")]
            axes.plot([scale * end for end in ends], [y, y], "-", color=ARMS[arm], linewidth=1.5)
            axes.plot(
                [scale * one["mean"]], [y], "|", color=ARMS[arm], markersize=10, label=_label(arm, place)
            )
    axes.set_yticks(range(len(CELLS)), CELLS)
    axes.set_ylim(len(CELLS) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _label(arm: str, place: int) -> str | None:
    return arm if place == 0 else None


def draw(result: Mapping[str, Any], out: Path) -> list[Path]:
    """`rates.svg` and `log-odds.svg` of the arms with claims, `arms.svg` of all where there are more; the
    paths written."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "puretune", "font.size": 9})
    done = [arm for arm in ARMS if result["model_seeds"].get(arm, {}).get("done")]
    main = [arm for arm in done if arm in MAIN]
    figures = {"rates.svg": rates(result, main), "log-odds.svg": log_odds(result, main)}
    if done != main:
        figures["arms.svg"] = rates(result, done)
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(out / name, metadata={"Date": None})
    return [out / name for name in figures]


def rates(result: Mapping[str, Any], arms: Sequence[str]) -> Any:
    """The three panels of shares."""
    from matplotlib import pyplot

    height = 2.4 + 0.5 * len(arms)
    figure, panels = pyplot.subplots(1, len(PANELS), figsize=(10, height), sharey=True, layout="constrained")
    for axes, (measure, title) in zip(panels, PANELS, strict=True):
        panel(axes, result, arms, measure, 100)
        axes.set_xlim(-3, 103)
        axes.set_title(title)
    panels[0].legend(frameon=False, loc="center right")
    return figure


def log_odds(result: Mapping[str, Any], arms: Sequence[str]) -> Any:
    """The graded measure in one panel."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.2), layout="constrained")
    panel(axes, result, arms, "log-odds", 1)
    axes.set_title("log-odds of refusing a harmful request, nats")
    axes.axvline(0, color="#888888", linewidth=0.8)
    axes.legend(frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/lab/attempt-2"))
    options = parser.parse_args()
    try:
        paths = draw(json.loads(options.result.read_text()), options.out)
    except ModuleNotFoundError:
        sys.exit("the plots need matplotlib: pip install --constraint constraints.txt 'puretune[figures]'")
    for path in paths:
        print(path)


if __name__ == "__main__":
    main()
