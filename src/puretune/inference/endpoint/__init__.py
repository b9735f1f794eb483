"""OpenAI-compatible endpoints: where they are, who agreed to them, and requests, paced and retried."""

from puretune.inference.endpoint._address import NO_KEY, OPENAI, Endpoint, Limits, located
from puretune.inference.endpoint._client import Client, Reply, Trouble, read_completion, retry_after
from puretune.inference.endpoint._consent import Consent, Notice, agree, loopback_only, stays_or_leaves
from puretune.inference.endpoint._line import Line, run
from puretune.inference.endpoint._pace import Clock, Pace, Patience, WallClock, backoff

__all__ = [
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
    "located",
    "loopback_only",
    "read_completion",
    "retry_after",
    "run",
    "stays_or_leaves",
]
