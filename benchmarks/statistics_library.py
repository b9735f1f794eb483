"""Coverage of the library's own intervals: shares, betting, judge budgets, Tango; error rates; label cost.

Run by benchmarks/statistics.py. Every study is drawn from a known truth: rates of 0 to 40 %, cheap judges by
sensitivity and specificity (a correlation would be undefined at 0 %). Wilson, Clopper-Pearson and Tango are
summed exactly over all outcomes; the others are replayed by the functions that users call.
"""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, multinomial

from puretune import statistics as st

Row = dict[str, Any]
Floats = NDArray[np.float64]

RATES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4)
JUDGES = {"excellent": (0.95, 0.99), "fair": (0.8, 0.95), "weak": (0.6, 0.85), "useless": (0.5, 0.5)}
DEMANDED = 0.94
HALF_WIDTH = 0.03


# --- Shares: exact, over all outcomes ----------------------------------------------------------------------


def shares() -> list[Row]:
    """Coverage of a share's intervals for independent prompts, and for clusters of 4 and 10 equal prompts."""
    rows = []
    for method in ("wilson", "clopper-pearson"):
        for n in (50, 100, 400):
            ends = np.array([st.share(k, n, method).interval for k in range(n + 1)])
            for size in (1, 4, 10) if n == 400 else (1,):
                for rate in RATES:
                    # Clusters of wholly equal prompts: k clusters succeed, k * size prompts do.
                    k = np.arange(n // size + 1)
                    held = (ends[k * size, 0] <= rate) & (rate <= ends[k * size, 1])
                    covered = float(binom.pmf(k, n // size, rate)[held].sum())
                    rows.append(_row("share", method, rate, covered, None, n=n, cluster_size=size))
    return rows


# --- Betting -----------------------------------------------------------------------------------------------


def betting(job: tuple[float, str, int, int]) -> list[Row]:
    """Betting intervals, all sample sizes at once: 250 of a population of 1,000, and 250 new prompts."""
    rate, kind, studies, seed = job
    rng = np.random.default_rng([1, seed])
    held, widths = np.zeros(studies), np.zeros(studies)
    for i in range(studies):
        if kind == "new prompts":
            truth, population, values = rate, None, (rng.random(250) < rate).astype(float)
        else:
            answers = _answers(rng, 1000, rate, 1, graded=kind == "graded scores")
            truth, population, values = float(answers.mean()), 1000, rng.permutation(answers)[:250]
        result = st.betting_interval(values, population)
        held[i], widths[i] = _holds(result, truth), result.half_width
    return [_row("betting", f"betting, {kind}", rate, held, widths, n=250)]


# --- Judge budget ------------------------------------------------------------------------------------------


def budget(job: tuple[float, str, int, float, int, int, int]) -> list[Row]:
    """The budgeted estimator: exact at the budget, and betting at every number of labels up to it."""
    rate, judge, n, fraction, cluster, studies, seed = job
    rng = np.random.default_rng([2, seed])
    names = {False: "budgeted estimate, exact", True: "budgeted estimate, any time"}
    held = {name: np.zeros(studies) for name in names.values()}
    widths = {name: np.zeros(studies) for name in names.values()}
    bias = np.zeros(studies)
    for i in range(studies):
        answers = _answers(rng, n, rate, cluster)
        plan = st.plan_sample(_cheap(rng, answers, judge), round(n * fraction), int(rng.integers(2**31)))
        for anytime, name in names.items():
            result = st.budgeted_estimate(plan, answers[plan.chosen], anytime=anytime)
            held[name][i] = _holds(result, float(answers.mean()))
            widths[name][i] = result.half_width
            bias[i] = result.value - answers.mean()
    extra = {
        "judge": judge,
        "n": n,
        "labelled": fraction,
        "cluster_size": cluster,
        "bias": float(bias.mean()),
    }
    return [_row("budget", name, rate, held[name], widths[name], **extra) for name in held]


def label_cost(job: tuple[float, str, int, int]) -> list[Row]:
    """The share of answers to judge for +-3 points: budget set beforehand, and stopping on the way."""
    rate, judge, n, seed = job
    rng = np.random.default_rng([3, seed])
    studies = []
    for _ in range(12):
        answers = _answers(rng, n, rate, 1)
        studies.append((answers, _cheap(rng, answers, judge), int(rng.integers(2**31))))

    def mean_width(labels: int) -> float:
        plans = [(answers, st.plan_sample(cheap, labels, s)) for answers, cheap, s in studies]
        return float(np.mean([st.budgeted_estimate(p, a[p.chosen]).half_width for a, p in plans]))

    fixed = _first(n, lambda labels: mean_width(labels) <= HALF_WIDTH)
    stopped = []
    for answers, cheap, s in studies:
        # Sized for a quarter of the answers, without knowing the rate.
        plan = st.plan_sample(cheap, n // 4, s)
        stops = _stopper(plan, answers[plan.order])
        stopped.append(_first(n, stops))
    return [
        {
            "rate": rate,
            "judge": judge,
            "n": n,
            "fixed_budget": fixed / n,
            "stopping": float(np.mean(stopped)) / n,
            "stopping_worst": max(stopped) / n,
        }
    ]


def _stopper(plan: st.SamplePlan, labels: Floats) -> Callable[[int], bool]:
    return lambda count: st.stop_at(plan, labels[:count], HALF_WIDTH)


def _first(n: int, enough: Callable[[int], bool]) -> int:
    """The smallest number of labels that is enough, by bisection: more labels hardly ever widen it."""
    low, high = 0, n
    while high - low > max(1, n // 400):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


# --- Paired prompts ----------------------------------------------------------------------------------------


def tango(job: tuple[float, int]) -> list[Row]:
    """Tango's interval for the difference of two rates, the second half the first, summed exactly."""
    rate, n = job
    return [_row("paired", "Tango", rate, _tango_coverage(n, rate), None, n=n)]


def _tango_coverage(n: int, rate: float) -> float:
    """Exact: over all numbers (b, c) of prompts on which only the first, or only the second, succeeds."""
    only_first, only_second = rate * (1 - rate / 2), rate / 2 * (1 - rate)
    covered = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            chance = multinomial.pmf(
                [b, c, n - b - c], n, [only_first, only_second, 1 - only_first - only_second]
            )
            if chance > 1e-9:
                pair = np.zeros((2, n))
                pair[0, :b], pair[1, b : b + c] = 1, 1
                covered += chance * _holds(st.paired_difference(pair[0], pair[1]), rate / 2)
    return covered


def error_rates(job: tuple[str, int, int]) -> list[Row]:
    """How often a test errs at nominal 5 %: McNemar without a difference, equivalence right at the margin."""
    test, studies, seed = job
    rng = np.random.default_rng([6, seed])
    errors = np.zeros(studies)
    for i in range(studies):
        if test.startswith("McNemar"):
            first, second = ((rng.random(100) < 0.2).astype(float) for _ in range(2))
            errors[i] = st.mcnemar(first, second).p <= 0.05
        elif test.startswith("equivalence of 3"):
            first, second = rng.normal(0.05, 0.02, 3), rng.normal(0.0, 0.02, 3)
            errors[i] = st.equivalence_of_means(first, second, 0.05).equivalent
        else:
            chances = rng.random(200)
            first, second = (chances < 0.10).astype(float), (chances > 0.95).astype(float)
            errors[i] = st.equivalence_on_prompts(first, second, 0.05).equivalent
    return [{"test": test, "studies": studies, "error_rate": float(errors.mean())}]


# --- What is drawn -----------------------------------------------------------------------------------------


def _answers(rng: np.random.Generator, n: int, rate: float, cluster: int, graded: bool = False) -> Floats:
    """Verdicts on n answers, a share ``rate`` of them 1 (clusters equal); graded: the rest below 1."""
    values = np.zeros(n)
    values[: round(n * rate)] = 1
    if graded:
        rest = n - round(n * rate)
        values[n - rest :] = rng.choice([0.0, 0.25, 0.5, 0.75], rest, p=[0.85, 0.08, 0.04, 0.03])
    return rng.permutation(values.reshape(-1, cluster)).ravel()


def _cheap(rng: np.random.Generator, answers: Floats, judge: str) -> Floats:
    if judge == "none":
        return np.zeros(len(answers))
    sensitivity, specificity = JUDGES[judge]
    flagged = rng.random(len(answers)) < np.where(answers == 1, sensitivity, 1 - specificity)
    return flagged.astype(float)


def _holds(result: st.Estimate, truth: float) -> bool:
    return result.low - 1e-9 <= truth <= result.high + 1e-9


def _row(
    family: str, method: str, rate: float, held: Floats | float, widths: Floats | None, **extra: Any
) -> Row:
    row = {"family": family, "method": method, "rate": rate, "coverage": float(np.mean(held)), **extra}
    row["studies"] = len(held) if isinstance(held, np.ndarray) else "exact"
    row["half_width"] = None if widths is None else float(widths.mean())
    return row


# --- The run -----------------------------------------------------------------------------------------------


def jobs(studies: int) -> dict[Callable[[Any], list[Row]], list[tuple[Any, ...]]]:
    """Every scenario with its number of studies and its own seed, so that processes change no figure."""
    kinds = ("these answers", "graded scores", "new prompts")
    bets = [(r, k) for r in RATES for k in kinds]
    designs = ((1000, 0.25, 1), (400, 0.25, 1), (1000, 0.1, 10))
    plans = [(r, j, *d) for r in RATES for j in JUDGES for d in designs]
    costs = [(r, j, n) for r in RATES for j in ("none", *JUDGES) for n in (400, 1000, 4000)]
    tests = [
        "McNemar, no difference",
        "equivalence of 3 seed means, at the margin",
        "equivalence on 200 prompts, at the margin",
    ]
    return {
        betting: _numbered(bets, studies),
        budget: _numbered(plans, studies),
        tango: [(rate, 50) for rate in RATES[1:]],
        label_cost: [(*cost, i) for i, cost in enumerate(costs)],
        error_rates: _numbered([(t,) for t in tests], studies // 2),
    }


def _numbered(scenarios: list[Any], studies: int) -> list[tuple[Any, ...]]:
    each = max(1, math.ceil(studies / len(scenarios)))
    return [(*scenario, each, i) for i, scenario in enumerate(scenarios)]


def replay(studies: int, processes: int) -> dict[str, list[Row]]:
    """All rows by table."""
    rows: dict[str, list[Row]] = {"coverage": shares(), "label_cost": [], "error_rates": []}
    for family, scenarios in jobs(studies).items():
        table = family.__name__ if family.__name__ in rows else "coverage"
        began = time.perf_counter()
        for part in _mapped(family, scenarios, processes):
            rows[table] += part
        print(f"{family.__name__}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return rows


def _mapped(
    family: Callable[[Any], list[Row]], scenarios: list[tuple[Any, ...]], processes: int
) -> Iterable[list[Row]]:
    if processes == 1:
        return map(family, scenarios)
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(family, scenarios))


def goals(rows: dict[str, list[Row]]) -> list[Row]:
    """What was demanded, whether it was met, and by what figures."""
    found = []
    for method in ("clopper-pearson", "betting", "budgeted estimate, exact", "budgeted estimate, any time"):
        mine = [
            r
            for r in rows["coverage"]
            if r["method"].startswith(method) and (r["family"] != "share" or r["cluster_size"] == 1)
        ]
        worst = min(mine, key=lambda r: float(r["coverage"]))
        met = bool(worst["coverage"] >= DEMANDED)
        found.append({"goal": f"{method}: coverage >= 94 % in every scenario", "met": met, "worst": worst})
    for key in ("fixed_budget", "stopping"):
        for judge in ("none", *JUDGES):
            mine = [
                r for r in rows["label_cost"] if r["judge"] == judge and r["rate"] <= 0.1 and r["n"] >= 1000
            ]
            worst = max(mine, key=lambda r: float(r[key]))
            goal = f"labels for +-3 points, {key}, judge {judge}: <= 25 % at rates <= 10 %, N >= 1,000"
            found.append({"goal": goal, "met": bool(worst[key] <= 0.25), "worst": worst})
    return found


def machine() -> Row:
    """CPU model and number of cores, as the system names them."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.processor() or platform.machine(), "cores": os.cpu_count()}
