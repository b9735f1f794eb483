"""What it takes to know which steps of a large plan a shared store has, by simulation.

    python -m benchmarks.store_listing                     # 1,000 adapters x 100 suites: a minute
    python -m benchmarks.store_listing --adapters 10000
The store is the real one over a bucket in memory that answers each request after LATENCY seconds, as object
storage does: a shard of answers and one of verdicts for each adapter and suite, and the adapters. Every key
is asked for once, as planning does: by one question a key (a sample, multiplied), by pages in turn, and as
the store does it. Results go to benchmarks/results/store-listing.json.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import obstore
from benchmarks.speed._record import machine
from obstore.store import MemoryStore

from puretune.store import _shared_listing as listing
from puretune.store import json_text, write_text
from puretune.store._bucket import Bucket, Found
from puretune.store._shared_listing import Listing, manifest_name

LATENCY = 0.08
"""Seconds to a page of 1,000 names or to one answer: what regional object storage takes."""
_PAGE, _SAMPLE = 1000, 50
_RESULTS = Path(__file__).parent / "results" / "store-listing.json"


class SlowBucket(Bucket):
    """A bucket in memory that takes its time and counts requests."""

    requests = 0

    def head(self, name: str) -> Found | None:
        self._request()
        return super().head(name)

    def folders(self, prefix: str) -> Sequence[str]:
        self._request()
        return super().folders(prefix)

    def _pages(self, prefix: str, after: str | None) -> Iterator[Found]:
        self._request()
        for number, found in enumerate(super()._pages(prefix, after), 1):
            yield found
            if number % _PAGE == 0:
                self._request()

    def _request(self) -> None:
        self.requests += 1
        time.sleep(LATENCY)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--adapters", type=int, default=1_000)
    parser.add_argument("--suites", type=int, default=100)
    parser.add_argument("--out", type=Path, default=_RESULTS)
    given = parser.parse_args()
    shards = given.adapters * given.suites
    sizes = {"adapter": given.adapters, "answers": shards, "verdicts": shards}
    measured = {kind: _measure(kind, size) for kind, size in sizes.items()}
    record = {"latency": LATENCY, "kinds": measured, "machine": machine()}
    write_text(given.out, json_text(record, indent=1) + "\n")
    print(json_text(measured, indent=1))


def _measure(kind: str, size: int) -> dict[str, Any]:
    memory = MemoryStore()
    for number in range(size):
        obstore.put(memory, manifest_name(kind, _key(kind, number)), b"{}")
    sample = SlowBucket("s3://memory", memory)
    started = time.monotonic()
    for number in range(_SAMPLE):
        sample.head(manifest_name(kind, _key(kind, number)))
    each = (time.monotonic() - started) / _SAMPLE
    ways = {"in_turn": 10**9, "as_it_is": listing._IN_TURN}
    return {
        "objects": size,
        "one_by_one": {"seconds": round(each * size), "requests": size},
        **{name: _ask(kind, size, memory, in_turn) for name, in_turn in ways.items()},
    }


def _ask(kind: str, size: int, memory: MemoryStore, in_turn: int) -> dict[str, Any]:
    usual, listing._IN_TURN = listing._IN_TURN, in_turn
    bucket = SlowBucket("s3://memory", memory)
    asked, started = Listing(bucket, kind), time.monotonic()
    have = sum(asked.has(_key(kind, number)) for number in range(size))
    seconds = time.monotonic() - started
    listing._IN_TURN = usual
    assert have == size
    return {"seconds": round(seconds, 1), "requests": bucket.requests}


def _key(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


if __name__ == "__main__":
    main()
