"""Gang tuning: many adapters on one pass over the frozen base, each as if it were trained alone."""

from puretune.tuning.gang._options import GangOptions
from puretune.tuning.gang._tuner import GangTuner

__all__ = ["GangOptions", "GangTuner"]
