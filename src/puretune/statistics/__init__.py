"""How sure we are: intervals, paired differences, equivalence, sample sizes and judge budgets.

Pure functions of arrays. Every :class:`Estimate` names its estimand: what would have to be drawn again for
the value to change (which answers were judged, the prompts, the training runs).
"""

from puretune.statistics._betting import betting_interval
from puretune.statistics._budget import SamplePlan, budgeted_estimate, plan_sample, stop_at
from puretune.statistics._estimate import Estimand, Estimate, share
from puretune.statistics._intervals import Interval, clopper_pearson, mean, t_interval, wilson
from puretune.statistics._paired import (
    Equivalence,
    McNemar,
    equivalence_of_means,
    equivalence_on_prompts,
    mcnemar,
    paired_bootstrap,
    paired_difference,
    seeds_differ,
)
from puretune.statistics._planning import holm, prompts_needed, prompts_needed_paired
from puretune.statistics._pooled import crossed_bootstrap, pooled, pooled_difference
from puretune.statistics._unparsed import Bounds, bounded_share, with_unparsed

__all__ = [
    "Bounds",
    "Equivalence",
    "Estimand",
    "Estimate",
    "Interval",
    "McNemar",
    "SamplePlan",
    "betting_interval",
    "bounded_share",
    "budgeted_estimate",
    "clopper_pearson",
    "crossed_bootstrap",
    "equivalence_of_means",
    "equivalence_on_prompts",
    "holm",
    "mcnemar",
    "mean",
    "paired_bootstrap",
    "paired_difference",
    "plan_sample",
    "pooled",
    "pooled_difference",
    "prompts_needed",
    "prompts_needed_paired",
    "seeds_differ",
    "share",
    "stop_at",
    "t_interval",
    "wilson",
    "with_unparsed",
]
