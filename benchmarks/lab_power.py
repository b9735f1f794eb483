"""How many model seeds the lab's central claim needs, from the development seeds; from the repository's root:

    python -m benchmarks.lab_power --effects 31 24 40 18 --above 10

``--effects`` are the differences seen on the development seeds (same template minus PTST, points of attack
success), ``--above`` is what the lower end of the interval has to exceed. The recipe was chosen for what
these seeds show, so the truth is taken to be weaker: three quarters of their mean, one and a half times
their standard deviation, and differences are cut off at zero (skewed, as attempt 2's were).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from puretune.statistics import sign_flips, t_interval

SHARE_OF_MEAN, TIMES_SPREAD, RUNS = 0.75, 1.5, 2000


def power(effects: Sequence[float], seeds: int, above: float, runs: int = RUNS) -> float:
    """The share of simulated confirmations that show an effect above ``above``, by t and by sign flips."""
    rng = np.random.default_rng(3)
    mean, spread = SHARE_OF_MEAN * float(np.mean(effects)), TIMES_SPREAD * float(np.std(effects, ddof=1))
    drawn = np.maximum(rng.normal(mean, spread, (runs, seeds)), 0.0)
    return float(np.mean([_shown(values, above) for values in drawn]))


def _shown(values: np.ndarray, above: float) -> bool:
    return float(t_interval(values)[0]) > above and sign_flips(values) < 0.05


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--effects", type=float, nargs="+", required=True, metavar="POINTS")
    parser.add_argument("--above", type=float, default=10.0, metavar="POINTS")
    options = parser.parse_args()
    for seeds in (6, 8, 10, 12, 14):
        print(f"{seeds} model seeds: power {power(options.effects, seeds, options.above):.2f}")


if __name__ == "__main__":
    main()
