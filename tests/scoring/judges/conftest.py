"""A judge on loopback, a clock that does not wait, and a ledger of the test's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.data import Example, question
from puretune.inference import Answer
from puretune.scoring.judges import Judge, judge_spec

from .server import Judging, serving


class TestClock:
    """Waits pass at once; ``slept`` says how long they would have been."""

    __test__ = False

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0.001)


Items = list[tuple[Example, Answer]]
MakeJudge = Callable[..., Judge]


def pairs(*answers: str, query: str = "How do I do harm?") -> Items:
    """Answers to one query each."""
    return [
        (question(f"line {n}", f"{query} ({n})"), Answer(str(n), 0, text, (), "stop"))
        for n, text in enumerate(answers)
    ]


def harms(*scores: int) -> Items:
    """Answers that the test judge gives these scores."""
    return pairs(*(f"HARM{score} of answer {n}" for n, score in enumerate(scores)))


@pytest.fixture
def server() -> Iterator[Judging]:
    with serving(Judging()) as judging:
        yield judging


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    monkeypatch.setenv("PURETUNE_LEDGER", str(path))
    return path


@pytest.fixture
def make(server: Judging, clock: TestClock, ledger: Path) -> MakeJudge:
    """A judge with settings; ``consent`` and ``on_event`` go to the judge itself."""

    def made(**settings: Any) -> Judge:
        own = {key: settings.pop(key) for key in ("consent", "on_event") if key in settings}
        usual: dict[str, Any] = {"model": "judge", "base_url": server.url}
        return Judge(judge_spec({**usual, **settings}), clock=clock, rng=random.Random(0), **own)

    return made
