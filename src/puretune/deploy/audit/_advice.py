"""What would decide a requirement that is inconclusive: so many prompts, or so many training runs."""

from __future__ import annotations

import math

from scipy.special import ndtri

from puretune.statistics import MOST_PROMPTS, data_needed, prompts_to_decide

_POWER = 0.8
_TOO_NEAR = "It is too near its limit for any number of prompts to tell."


def advice_on_rate(value: float, limit: float, alpha: float, prompts: int) -> str:
    """For one model: independent prompts, by the exact bound, if this rate is the true one."""
    needed = prompts_to_decide(value, limit, alpha=alpha, power=_POWER)
    return _TOO_NEAR if needed is None else _prompts(max(needed, prompts + 1), prompts)


def advice_on_error(
    gap: float, standard_error: float, seed_variance: float, seeds: int, prompts: int, alpha: float
) -> str:
    """By the standard error: training runs where the variance is theirs, prompts where it is not.

    ``gap``: between value and limit; ``seed_variance``: between training runs, of what is estimated.
    """
    if gap < 1e-9:
        return _TOO_NEAR
    reach = float(ndtri(1 - alpha) + ndtri(_POWER))
    runs, factor = data_needed(
        standard_error, seed_variance, max(seeds, 1), gap, reach=reach, alpha=2 * alpha
    )
    if factor is not None and factor * prompts > MOST_PROMPTS:
        return _TOO_NEAR
    if runs is None:
        return _prompts(math.ceil((factor or 1) * prompts) + 1, prompts)
    more = f" and {math.ceil(factor * prompts):,} prompts (there are {prompts:,})" if factor else ""
    return f"About {runs:,} training seeds (there are {seeds:,}){more} would decide it."


def _prompts(needed: int, prompts: int) -> str:
    return f"About {needed:,} prompts (there are {prompts:,}) would decide it."
