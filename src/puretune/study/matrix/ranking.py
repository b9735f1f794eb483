"""Strategies ranked at the same helpfulness: what is the safest on these data, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Standing = Literal["first", "less safe", "as safe", "cannot tell", "does not reach"]
"""Of a strategy against the first: ``as safe`` is within the margin, ``does not reach`` the helpfulness."""


@dataclass(frozen=True)
class Matched:
    """Attack success of one strategy minus another's at the same helpfulness."""

    level: float
    """The helpfulness."""
    difference: float
    low: float
    high: float
    p: float
    """Corrected for all comparisons of its kind."""


@dataclass(frozen=True)
class RankedStrategy:
    """One strategy: at the end of its tuning, at the same helpfulness as the others, and where it leaks."""

    name: str
    conditions: tuple[str, ...]
    """Its curve: one condition along its kept steps, or several of growing strength."""
    test_template: str
    end_helpfulness: float
    """At the end of tuning (at full strength); rates are in [0, 1]."""
    end_harm: float
    best_helpfulness: float
    """The highest along the curve."""
    standing: Standing
    harm: float | None = None
    """At the helpfulness of the ranking; None: it does not reach it."""
    against_first: Matched | None = None
    """This one minus the first, with a simultaneous 95 % interval."""
    against_reference: Matched | None = None
    """This one minus the reference at the highest helpfulness that both reach, with a simultaneous interval;
    None: it is the reference, or they have no common helpfulness."""
    leak: float | None = None
    """Attack success at the end under the template that it was tuned under; None: it is served under that."""


@dataclass(frozen=True)
class Ranking:
    """All strategies of a study, best first; those that do not reach the helpfulness come last."""

    strategies: tuple[RankedStrategy, ...]
    helpfulness: str
    """The metric and suite that say how helpful an answer is."""
    harm: str
    level: float
    """The helpfulness at which they are ranked."""
    reference: str
    """The strategy from which the level comes, and that each one is compared with."""
    seeds: int
    prompts: int
    """Harmful prompts."""
    margin: float
    untuned_helpfulness: float | None = None
    """Of the untuned model under the reference's template."""
    prompts_needed: int | None = None
    """Where it cannot be told: what would find a difference of the margin with 80 % power (with
    ``seeds_needed``, where both are needed)."""
    seeds_needed: int | None = None

    @property
    def ranked(self) -> tuple[RankedStrategy, ...]:
        """Those that reach the helpfulness."""
        return tuple(one for one in self.strategies if one.harm is not None)

    @property
    def decided(self) -> bool:
        """Whether nothing but the first may be the safest, up to the margin."""
        return bool(self.ranked) and not self._with("cannot tell")

    def sentence(self) -> str:
        """On these data, this one, and this is how sure it is."""
        if not self.ranked:
            return f"No strategy reaches {_percent(self.level)} helpfulness, so none is ranked. {self._out()}"
        return " ".join(filter(None, (self._verdict(), self._paid(), self._out())))

    def _verdict(self) -> str:
        first, others = self.ranked[0], len(self.ranked) - 1
        at = f"at {_percent(self.level)} helpfulness ({self.helpfulness})"
        rate = f"{_percent(first.harm or 0.0)} {self.harm}"
        open_, alike = self._with("cannot tell"), self._with("as safe")
        if not others:
            return f"On these data, {first.name}: {rate} {at}. It is the only one that reaches it."
        if open_:
            return (
                f"On these data, cannot tell: {first.name} has the least measured harm {at}, {rate}, and "
                f"{_listed(open_)} may be as good or better.{self._needed()}"
            )
        if alike:
            points = f"within {100 * self.margin:g} points"
            return f"On these data, {first.name} ({rate} {at}), or as safe {points}: {_listed(alike)}."
        return f"On these data, {first.name}: {rate} {at}. Each of the {others} others is less safe."

    def _paid(self) -> str:
        others = len(self.ranked) - 1
        runs = f"{self.seeds} training runs each"
        if self.seeds == 1:
            runs = "one training run each, so this is about these adapters"
        at_once = f" for all {others} comparisons with the first at once (Bonferroni)" if others > 1 else ""
        return f"How sure: 95 %{at_once}; {self.prompts} harmful prompts, {runs}."

    def _out(self) -> str:
        missed = (one for one in self.strategies if one.harm is None)
        out = [f"{one.name} ({_percent(one.best_helpfulness)})" for one in missed]
        return f"Not ranked, because they do not become that helpful: {_listed(out)}." if out else ""

    def _needed(self) -> str:
        needed = [f"{self.seeds_needed} seeds"] if self.seeds_needed else []
        needed += [f"{self.prompts_needed:,} harmful prompts"] if self.prompts_needed else []
        if not needed:
            return ""
        return f" About {' and '.join(needed)} would find a difference of {100 * self.margin:g} points."

    def _with(self, standing: Standing) -> list[str]:
        return [one.name for one in self.strategies if one.standing == standing]


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
