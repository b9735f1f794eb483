"""Which units wait, run and are done, for the threads of the process that hands them out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Condition

from puretune.study.run.units import Unit


@dataclass(frozen=True)
class Patience:
    """How long to wait for others when there is nothing else to do: ``factor`` times as long as everything
    has taken so far, and ``grace`` seconds more."""

    factor: float
    grace: float
    _began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """From now on."""
        return self.factor * (time.monotonic() - self._began) + self.grace


class UnitQueue:
    """Units by their numbers, each handed out after those that make what it needs."""

    def __init__(self, units: Sequence[Unit], elsewhere: Iterable[bool]) -> None:
        self.elsewhere = list(elsewhere)
        """Whether another worker than this process may have a unit."""
        self._needs = [unit.needs for unit in units]
        self._makes = [unit.makes for unit in units]
        self._waiting = list(range(len(units)))
        self._running: dict[int, float] = {}
        """Number -> when it was first handed out."""
        self._copies: Counter[int] = Counter()
        self._begun: Counter[int] = Counter()
        self._error: BaseException | None = None
        self._over = False
        self._changed = Condition()

    def take(
        self,
        patience: Callable[[], float],
        out_of_patience: Callable[[], None],
        fits: Callable[[int], bool] = lambda number: True,
    ) -> int | None:
        """The next unit for this process, once there is one that ``fits``; None when all are done.

        Calls ``out_of_patience`` whenever nothing has changed for ``patience()`` seconds. Raises what made
        the run fail.
        """
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                number = self._next(fits)
                if number is not None or not (self._waiting or self._running):
                    return number
                if not self._changed.wait(patience()):
                    out_of_patience()

    def take_elsewhere(self, again_after: float | None = None) -> int | None:
        """The next unit for another worker, once there is one; None when there will be no more.

        ``again_after``: seconds after which a unit that runs elsewhere is handed out a second time to a
        worker that would have nothing to do; the first publication wins.
        """
        with self._changed:
            while not self._over and self._error is None:
                number = self._next(self.elsewhere.__getitem__)
                if number is None and again_after is not None:
                    number = self._straggler(time.monotonic() - again_after)
                if number is not None:
                    return number
                if not self.wants_others:
                    return None
                self._changed.wait(None if again_after is None else 1.0)
            return None

    def begun(self, number: int) -> int:
        """How often the unit has been handed out."""
        with self._changed:
            return self._begun[number]

    def copies(self, number: int) -> int:
        """How many workers are at the unit; 0 when it is done."""
        with self._changed:
            return self._copies[number]

    def done(self, number: int) -> None:
        """What the unit makes is in the store."""
        with self._changed:
            self._running.pop(number, None)
            self._copies[number] = 0
            self._changed.notify_all()

    def give_back(self, number: int, elsewhere: bool = False) -> None:
        """A worker has ended before the unit was done. ``elsewhere``: whether such a worker may have it
        again; else it is for this process."""
        with self._changed:
            self._copies[number] -= 1
            if number in self._running and not self._copies[number]:
                self.elsewhere[number] = elsewhere
                self._waiting.insert(0, number)
                self._running.pop(number)
                self._changed.notify_all()

    @property
    def wants_others(self) -> bool:
        """Whether there is, or may again be, something for other workers than this process."""
        left = any(self.elsewhere[one] for one in (*self._waiting, *self._running))
        return left and not self._over and self._error is None

    @property
    def is_over(self) -> bool:
        """Whether nobody gets a unit any more."""
        return self._over

    def fail(self, error: BaseException) -> None:
        """End the run with this error."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody gets a unit any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _next(self, fits: Callable[[int], bool]) -> int | None:
        unmade = {ref for number in (*self._waiting, *self._running) for ref in self._makes[number]}
        ready = (one for one in self._waiting if fits(one) and not self._needs[one] & unmade)
        number = next(ready, None)
        if number is not None:
            self._waiting.remove(number)
            self._running[number] = time.monotonic()
            self._hand_out(number)
        return number

    def _straggler(self, before: float) -> int | None:
        """The unit that has run longest, if it was handed out ``before`` and one worker is at it."""
        late = [
            one
            for one, since in self._running.items()
            if since < before and self.elsewhere[one] and self._copies[one] == 1
        ]
        if not late:
            return None
        number = min(late, key=self._running.__getitem__)
        self._hand_out(number)
        return number

    def _hand_out(self, number: int) -> None:
        self._copies[number] += 1
        self._begun[number] += 1
