"""Statistics: intervals, paired differences, equivalence, sample sizes and judge budgets.

Pure functions of arrays. Every :class:`Estimate` names its estimand: what would have to be drawn again for
the value to change (which answers were judged, the prompts, the training runs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

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
    from puretune.statistics._estimate import Estimand, Estimate, share
    from puretune.statistics._intervals import Categories, Interval, clopper_pearson, mean, t_interval, wilson
    from puretune.statistics._limits import Decided, LimitDecision, limit_decisions, prompts_to_decide
    from puretune.statistics._matched import Curve, MatchedDifference, common_helpfulness, matched_difference
    from puretune.statistics._paired import (
        Equivalence,
        McNemar,
        equivalence_of_means,
        equivalence_on_prompts,
        mcnemar,
        paired_difference,
        sign_flips,
    )
    from puretune.statistics._planning import (
        MOST_PROMPTS,
        POWER_REACH,
        data_needed,
        holm,
        minimum_detectable,
        prompts_needed,
        prompts_needed_paired,
        seeds_needed,
    )
    from puretune.statistics._unparsed import Bounds, bounded_share, with_unparsed

__all__ = [
    "MOST_PROMPTS",
    "POWER_REACH",
    "BoundedDifference",
    "Bounds",
    "Categories",
    "Components",
    "Conclusion",
    "Curve",
    "Decided",
    "Design",
    "Difference",
    "Equivalence",
    "Estimand",
    "Estimate",
    "Interval",
    "LimitDecision",
    "MatchedDifference",
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
    "common_helpfulness",
    "conclusion",
    "crossed_difference",
    "crossed_mean",
    "data_needed",
    "design",
    "equivalence_of_means",
    "equivalence_on_prompts",
    "holm",
    "limit_decisions",
    "matched_difference",
    "mcnemar",
    "mean",
    "minimum_detectable",
    "paired_difference",
    "plan_sample",
    "prompts_needed",
    "prompts_needed_paired",
    "prompts_of",
    "prompts_to_decide",
    "seed_spread",
    "seeds_needed",
    "share",
    "sign_flips",
    "stop_at",
    "t_interval",
    "wilson",
    "with_unparsed",
]

# numpy and scipy come with the functions that need them; a plan needs none.
__getattr__ = lazy(__name__)
