"""OpenAI-compatible endpoints: where they are, who agreed to them, and requests, paced and retried."""

from puretune.inference.endpoint._client import Client, Reply, Trouble, read_completion, retry_after
from puretune.inference.endpoint._line import Line, run
from puretune.inference.endpoint._pace import Clock, Pace, Patience, WallClock, backoff
from puretune.models import (
    NO_KEY,
    OPENAI,
    Consent,
    Endpoint,
    Limits,
    Notice,
    agree,
    located,
    loopback_only,
    stays_or_leaves,
)

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
