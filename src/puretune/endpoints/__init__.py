"""OpenAI-compatible endpoints: addresses, consent, and requests that are paced and retried."""

from puretune.endpoints._address import NO_KEY, OPENAI, Endpoint, Limits, located
from puretune.endpoints._checks import (
    LONGEST_NAME,
    check_fields,
    check_name,
    check_range,
    check_ranges,
    check_variable,
)
from puretune.endpoints._client import Client, retry_after
from puretune.endpoints._connection import Line, run
from puretune.endpoints._consent import Consent, Notice, agree, loopback_only, stays_or_leaves
from puretune.endpoints._rate_limit import Clock, Pace, Patience, WallClock, backoff
from puretune.endpoints._reachable import reachable
from puretune.endpoints._reply import Reply, Trouble, need, read_completion

__all__ = [
    "LONGEST_NAME",
    "NO_KEY",
    "OPENAI",
    "Client",
    "Clock",
    "Consent",
    "Endpoint",
    "Limits",
    "Line",
    "Notice",
    "Pace",
    "Patience",
    "Reply",
    "Trouble",
    "WallClock",
    "agree",
    "backoff",
    "check_fields",
    "check_name",
    "check_range",
    "check_ranges",
    "check_variable",
    "located",
    "loopback_only",
    "need",
    "reachable",
    "read_completion",
    "retry_after",
    "run",
    "stays_or_leaves",
]
