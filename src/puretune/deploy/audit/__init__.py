"""The gate of a release: requirements, judged from a run's stored verdicts.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.deploy.audit._formats import audit_json, audit_junit, requirement_line
    from puretune.deploy.audit._judge import audit_run
    from puretune.deploy.audit._requirements import MARGIN, Audit, Judged, Rate, Requirements
    from puretune.deploy.audit._rescore import rescored
    from puretune.deploy.audit._study import CALLERS_MESSAGE, Target, audit_study
    from puretune.deploy.audit._target import target_at, target_served

__all__ = [
    "CALLERS_MESSAGE",
    "MARGIN",
    "Audit",
    "Judged",
    "Rate",
    "Requirements",
    "Target",
    "audit_json",
    "audit_junit",
    "audit_run",
    "audit_study",
    "requirement_line",
    "rescored",
    "target_at",
    "target_served",
]
__getattr__ = lazy(__name__)
