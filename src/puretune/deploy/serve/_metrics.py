"""Counters in Prometheus' text format; no message's content is in them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """What has been asked and answered since the start."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        """By model and outcome: ``ok``, or the reason of a refusal."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.running = 0
        self._buckets: Counter[float] = Counter()
        self._seconds = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Counts a request while it is answered."""
        start = time.monotonic()
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            spent = time.monotonic() - start
            self._seconds += spent
            self._buckets[next((end for end in _SECONDS if spent <= end), float("inf"))] += 1

    def text(self) -> str:
        """All of them."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield "# TYPE puretune_requests_total counter"
        for (model, outcome), count in sorted(self.requests.items()):
            yield f'puretune_requests_total{{model="{_label(model)}",outcome="{_label(outcome)}"}} {count}'
        yield "# TYPE puretune_tokens_total counter"
        for (model, kind), count in sorted(self.tokens.items()):
            yield f'puretune_tokens_total{{model="{_label(model)}",kind="{kind}"}} {count}'
        yield "# TYPE puretune_running_requests gauge"
        yield f"puretune_running_requests {self.running}"
        yield "# TYPE puretune_request_seconds histogram"
        total = 0
        for end in (*_SECONDS, float("inf")):
            total += self._buckets[end]
            name = "+Inf" if end == float("inf") else f"{end:g}"
            yield f'puretune_request_seconds_bucket{{le="{name}"}} {total}'
        yield f"puretune_request_seconds_sum {self._seconds:.6f}"
        yield f"puretune_request_seconds_count {total}"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
