"""The queue of units: needs first, one second copy of a straggler, what is given back is done again."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any

import pytest

from puretune.study.run.unit_queue import UnitQueue


class FakeUnit:
    """Needs and makes, and no work."""

    def __init__(self, makes: str, *needs: str) -> None:
        self.makes = frozenset({("thing", makes)})
        self.needs = frozenset(("thing", one) for one in needs)


def queue_of(*units: FakeUnit, elsewhere: bool = True) -> UnitQueue:
    """A queue of them, in their order."""
    made: list[Any] = list(units)
    return UnitQueue(made, [elsewhere] * len(made))


def test_a_unit_waits_for_what_it_needs() -> None:
    queue = queue_of(FakeUnit("a"), FakeUnit("b", "a"), FakeUnit("c"))
    assert (queue.take_elsewhere(), queue.take_elsewhere()) == (0, 2)
    queue.done(0)
    assert queue.take_elsewhere() == 1


def test_only_an_idle_worker_gets_a_second_copy_of_a_late_unit() -> None:
    queue = queue_of(FakeUnit("a"), FakeUnit("b"))
    assert [queue.take_elsewhere(1e-9) for _ in range(4)] == [0, 1, 0, 1]
    assert queue.copies(0) == 2
    queue.done(0)
    assert queue.copies(0) == 0
    queue.give_back(0, elsewhere=True)  # the slower copy's worker dies afterwards
    queue.done(1)
    assert queue.take_elsewhere() is None


def test_a_unit_is_done_again_when_its_last_copy_is_lost() -> None:
    queue = queue_of(FakeUnit("a"))
    assert [queue.take_elsewhere(1e-9) for _ in range(2)] == [0, 0]
    queue.give_back(0, elsewhere=True)
    assert queue.copies(0) == 1
    queue.give_back(0, elsewhere=True)
    assert queue.take_elsewhere() == 0
    assert queue.begun(0) == 3


def test_a_failure_reaches_whoever_waits_in_this_process() -> None:
    queue = queue_of(FakeUnit("a"))
    assert queue.take_elsewhere() == 0
    queue.fail(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        queue.take(lambda: 60.0, lambda: None, lambda number: False)
    assert queue.take_elsewhere() is None


@pytest.mark.parametrize("seed", range(5))
def test_workers_that_die_at_random_lose_nothing_and_repeat_nothing_that_is_done(seed: int) -> None:
    rng = random.Random(seed)
    units = [FakeUnit(str(i), *(str(rng.randrange(i)) for _ in range(min(i, 2)))) for i in range(60)]
    queue, done, lock = queue_of(*units), Counter[int](), threading.Lock()

    def work() -> None:
        while (number := queue.take_elsewhere(0.05)) is not None:
            time.sleep(0.001)
            with lock:
                dies = rng.random() < 0.3
            if dies:
                queue.give_back(number, elsewhere=True)
                continue
            with lock:
                assert all(("thing", str(i)) in made for i in range(60) for made in [*finished(i)])
                done[number] += 1
            queue.done(number)

    def finished(number: int) -> list[frozenset[tuple[str, str]]]:
        return [units[number].makes] if done[number] else []

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    assert queue.take(lambda: 60.0, lambda: None, lambda number: False) is None
    for thread in threads:
        thread.join(60)
    assert sorted(done) == list(range(60))
