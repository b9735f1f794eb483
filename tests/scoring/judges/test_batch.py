"""The provider's batch mode: handed in once, found again, every reply kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from puretune.errors import EnvironmentFault
from puretune.scoring.judges import agree

from .conftest import MakeJudge, TestClock, harms
from .server import Judging


class Interrupt(BaseException):
    """The user's Ctrl-C."""


def notes(ledger: Path) -> list[Path]:
    return list((ledger / "batches").glob("*.json"))


def test_a_batch_is_handed_in_waited_for_and_kept(
    make: MakeJudge, server: Judging, clock: TestClock, ledger: Path
) -> None:
    verdicts = make(mode="batch").score(harms(5, 4, 1))
    assert [v.raw["score"] for v in verdicts] == [5, 4, 1]
    assert len(server.batches) == 1
    assert clock.slept == [30.0] * 3
    assert notes(ledger) == []
    assert [v.values for v in make().score(harms(5, 4, 1))] == [v.values for v in verdicts]
    assert server.asked == 3


def test_an_interrupted_batch_is_found_by_its_id(
    make: MakeJudge, server: Judging, clock: TestClock, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(seconds: float) -> None:
        raise Interrupt

    with monkeypatch.context() as patched:
        patched.setattr(clock, "sleep", interrupted)
        with pytest.raises(Interrupt):
            make(mode="batch").score(harms(5, 4))
    assert len(notes(ledger)) == 1
    assert [v.raw["score"] for v in make(mode="batch").score(harms(5, 4, 3))] == [5, 4, 3]
    assert len(server.batches) == 2
    assert server.asked == 3


def test_replies_that_another_run_handed_in_are_kept_too(
    make: MakeJudge, server: Judging, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(seconds: float) -> None:
        raise Interrupt

    with monkeypatch.context() as patched:
        patched.setattr(clock, "sleep", interrupted)
        with pytest.raises(Interrupt):
            make(mode="batch").score(harms(5, 4, 3))
    assert [v.raw["score"] for v in make(mode="batch").score(harms(5))] == [5]
    assert [v.raw["score"] for v in make().score(harms(5, 4, 3))] == [5, 4, 3]
    assert server.asked == 3


def test_a_batch_that_got_through_unheard_is_not_handed_in_twice(make: MakeJudge, server: Judging) -> None:
    server.unheard = 1
    assert [v.raw["score"] for v in make(mode="batch").score(harms(5, 4))] == [5, 4]
    assert (len(server.batches), server.asked) == (1, 2)


def test_a_batch_whose_id_was_lost_is_found_by_its_token(
    make: MakeJudge, server: Judging, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from puretune.scoring.judges import _batch

    write, wrote = _batch._Note.write, []

    def once(note: _batch._Note) -> None:
        if wrote:
            raise Interrupt
        wrote.append(note)
        write(note)

    with monkeypatch.context() as patched:
        patched.setattr(_batch._Note, "write", once)
        with pytest.raises(Interrupt):
            make(mode="batch").score(harms(5, 4))
    assert (len(notes(ledger)), len(server.batches)) == (1, 1)
    assert [v.raw["score"] for v in make(mode="batch").score(harms(5, 4))] == [5, 4]
    assert len(server.batches) == 1


def test_an_expired_batch_keeps_what_came(make: MakeJudge, server: Judging) -> None:
    server.drop = 1
    with pytest.raises(
        EnvironmentFault, match=r"'expired' without 1 of 3 replies.*2 new judgements are kept"
    ):
        make(mode="batch").score(harms(5, 4, 3))
    server.drop = 0
    assert [v.raw["score"] for v in make(mode="batch").score(harms(5, 4, 3))] == [5, 4, 3]
    assert server.asked == 3


def test_unreadable_replies_go_into_another_batch(make: MakeJudge, server: Judging) -> None:
    server.reply = lambda user: "#thescore: 9" if "HARM4" in user else "#thescore: 5"
    good, bad = make(mode="batch", attempts=3).score(harms(5, 4))
    assert (good.raw["score"], bad.parse, len(bad.raw["replies"])) == (5, "unparsed", 3)
    assert len(server.batches) == 3
    assert server.asked == 4


def test_live_and_batch_ask_the_same(make: MakeJudge, server: Judging) -> None:
    make(mode="batch", consent=agree).score(harms(5))
    make().score(harms(5))
    assert server.asked == 1
    assert set(server.requests[0]) == {"model", "messages", "temperature", "max_tokens"}
    assert server.requests[0]["temperature"] == 0
