"""Statistics: intervals, paired differences, equivalence, sample sizes and judge budgets.

Pure functions of arrays. Every :class:`Estimate` names its estimand: what would have to be drawn again for
the value to change (which answers were judged, the prompts, the training runs).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from puretune.statistics._betting import betting_interval
    from puretune.statistics._bounded import (
        BoundedDifference,
        Prompts,
        bounded_difference,
        bounded_mean,
        budgeted_mean,
        prompts_of,
    )
    from puretune.statistics._budget import SamplePlan, budgeted_estimate, plan_sample, stop_at
    from puretune.statistics._cells import (
        Conclusion,
        Design,
        Difference,
        conclusion,
        crossed_difference,
        crossed_mean,
        design,
    )
    from puretune.statistics._crossed import Components, SeedSpread, by_draw, seed_spread
    from puretune.statistics._estimate import Categories, Estimand, Estimate, share
    from puretune.statistics._intervals import Interval, clopper_pearson, mean, t_interval, wilson
    from puretune.statistics._paired import (
        Equivalence,
        McNemar,
        equivalence_of_means,
        equivalence_on_prompts,
        mcnemar,
        paired_difference,
    )
    from puretune.statistics._planning import (
        holm,
        minimum_detectable,
        prompts_needed,
        prompts_needed_paired,
        seeds_needed,
    )
    from puretune.statistics._unparsed import Bounds, bounded_share, with_unparsed

__all__ = [
    "BoundedDifference",
    "Bounds",
    "Categories",
    "Components",
    "Conclusion",
    "Design",
    "Difference",
    "Equivalence",
    "Estimand",
    "Estimate",
    "Interval",
    "McNemar",
    "Prompts",
    "SamplePlan",
    "SeedSpread",
    "betting_interval",
    "bounded_difference",
    "bounded_mean",
    "bounded_share",
    "budgeted_estimate",
    "budgeted_mean",
    "by_draw",
    "clopper_pearson",
    "conclusion",
    "crossed_difference",
    "crossed_mean",
    "design",
    "equivalence_of_means",
    "equivalence_on_prompts",
    "holm",
    "mcnemar",
    "mean",
    "minimum_detectable",
    "paired_difference",
    "plan_sample",
    "prompts_needed",
    "prompts_needed_paired",
    "prompts_of",
    "seed_spread",
    "seeds_needed",
    "share",
    "stop_at",
    "t_interval",
    "wilson",
    "with_unparsed",
]

# numpy and scipy come with the functions that need them; a plan needs none.
_HOME = {
    "BoundedDifference": "_bounded",
    "Bounds": "_unparsed",
    "Categories": "_estimate",
    "Components": "_crossed",
    "Conclusion": "_cells",
    "Design": "_cells",
    "Difference": "_cells",
    "Equivalence": "_paired",
    "Estimand": "_estimate",
    "Estimate": "_estimate",
    "Interval": "_intervals",
    "McNemar": "_paired",
    "Prompts": "_bounded",
    "SamplePlan": "_budget",
    "SeedSpread": "_crossed",
    "betting_interval": "_betting",
    "bounded_difference": "_bounded",
    "bounded_mean": "_bounded",
    "bounded_share": "_unparsed",
    "budgeted_estimate": "_budget",
    "budgeted_mean": "_bounded",
    "by_draw": "_crossed",
    "clopper_pearson": "_intervals",
    "conclusion": "_cells",
    "crossed_difference": "_cells",
    "crossed_mean": "_cells",
    "design": "_cells",
    "equivalence_of_means": "_paired",
    "equivalence_on_prompts": "_paired",
    "holm": "_planning",
    "mcnemar": "_paired",
    "mean": "_intervals",
    "minimum_detectable": "_planning",
    "paired_difference": "_paired",
    "plan_sample": "_budget",
    "prompts_needed": "_planning",
    "prompts_needed_paired": "_planning",
    "prompts_of": "_bounded",
    "seed_spread": "_crossed",
    "seeds_needed": "_planning",
    "share": "_estimate",
    "stop_at": "_budget",
    "t_interval": "_intervals",
    "wilson": "_intervals",
    "with_unparsed": "_unparsed",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"puretune.statistics.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
