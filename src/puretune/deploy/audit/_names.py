"""What an audit calls its condition and its templates."""

from __future__ import annotations

RELEASE = "release"
"""The condition that is audited."""
SERVED, TRAINING, CALLER = "served", "training", "served + caller's system"
AS_TRAINED = "served as trained"
"""The served template's name where it is also that of the training."""
