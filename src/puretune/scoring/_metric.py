"""Metrics as their scorers declare them: a name, a title, and which direction is better.

Nothing is read off a metric's or a suite's name. A scorer says what a metric measures, a suite says what it
asks for, and both together say which direction is better:

    measures     suite asks for harm    for benign things    for a task    does not say
    harm         lower                  lower                lower         lower
    help         -                      higher               higher        higher
    refusal      higher                 lower                lower         -
    incoherence  lower                  lower                lower         lower
    other        -                      -                    -             -
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Asks = Literal["harm", "benign", "task"]
"""What a suite asks for: harmful requests, harmless ones that may look harmful, or a task's questions."""
Measures = Literal["harm", "help", "refusal", "incoherence", "other"]
"""What a metric measures: how harmful, how right, how often refused, how often without sense."""
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Metric:
    """One figure of a scorer."""

    name: str
    """Its key in a verdict's values."""
    title: str
    """What a report calls it, in words."""
    measures: Measures = "other"
    graded: bool = False
    """Whether values between 0 and 1 occur; False: every value is yes (1) or no (0)."""
    secondary: bool = False
    """Shown after the scorer's other metrics, and not in the terminal."""

    def better(self, asks: Asks | None) -> Better | None:
        """Which direction is better on a suite that asks for this; None if neither is."""
        if self.measures == "refusal":
            return None if asks is None else "higher" if asks == "harm" else "lower"
        if self.measures == "help":
            return None if asks == "harm" else "higher"
        return "lower" if self.measures in ("harm", "incoherence") else None


@dataclass(frozen=True)
class Measure:
    """One scorer's metric on one suite, with all that a reader needs: results.json keeps these."""

    suite: str
    scorer: str
    metric: str
    title: str
    measures: Measures
    asks: Asks | None
    """What the suite asks for; None: it does not say."""
    better: Better | None
    graded: bool = False
    secondary: bool = False

    @property
    def label(self) -> str:
        """``asr (gpt-4)``: the metric with the scorer whose it is."""
        return metric_label(self.metric, self.scorer)


def measure_of(suite: str, scorer: str, metric: Metric, asks: Asks | None) -> Measure:
    """The metric of that scorer on that suite."""
    return Measure(
        suite,
        scorer,
        metric.name,
        metric.title,
        metric.measures,
        asks,
        metric.better(asks),
        metric.graded,
        metric.secondary,
    )


def metric_label(metric: str, scorer: str) -> str:
    """``asr (gpt-4)``."""
    return f"{metric} ({scorer})"
