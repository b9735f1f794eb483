"""An endpoint that misbehaves: a fault passes, or ends in one clear message with what was done kept."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest

from puretune.endpoints import retry_after
from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.scoring.judges import Ledger

from .conftest import MakeJudge, TestClock, harms, pairs
from .server import Fault, Judging, fine, half, hang_up, page, stall, status, trickle

SHORT = {"read": 0.15, "total": 0.3}


def scores(verdicts: Any) -> list[int | None]:
    return [verdict.raw["score"] for verdict in verdicts]


def kept(ledger: Any) -> int:
    with Ledger(ledger) as opened:
        return len(opened._run("SELECT * FROM judgements"))


@pytest.mark.parametrize(
    "fault", [page, hang_up, half, stall, trickle, status(500), status(503), status(429)]
)
def test_a_passing_fault_costs_only_a_wait(
    make: MakeJudge, server: Judging, fault: Fault, clock: TestClock
) -> None:
    server.faults = [fault, fault]
    assert scores(make(limits=SHORT, concurrency=1).score(harms(5, 2))) == [5, 2]
    assert server.asked == 4
    first, second = clock.slept[:2]
    assert 0.5 <= first <= 1.0
    assert 1.0 <= second <= 2.0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (page, "returns HTML"),
        (status(200, ["no completion"]), "returns no chat completion"),
        (status(200, {"choices": []}), "returns no chat completion"),
        (status(200, {"choices": [{"message": {"content": 5}}]}), "returns no chat completion"),
        (hang_up, "the connection failed"),
        (stall, r"no complete reply within 0\.3 s"),
        (trickle, r"no complete reply within 0\.3 s"),
        (status(502), "it answers 502"),
    ],
)
def test_a_lasting_fault_ends_in_one_message_and_what_was_done_is_kept(
    make: MakeJudge, server: Judging, ledger: Any, fault: Fault, said: str
) -> None:
    server.faults, server.always = [fine, fine], fault
    judge = make(limits={**SHORT, "tries": 2}, concurrency=1)
    with pytest.raises(
        EnvironmentFault, match=rf"judge 'judge' at http://127.*{said}.*2 new judgements are kept"
    ):
        judge.score(harms(5, 4, 3, 2))
    assert kept(ledger) == 2
    asked, server.always = server.asked, None
    assert scores(make().score(harms(5, 4, 3, 2))) == [5, 4, 3, 2]
    assert server.asked == asked + 2


def test_an_endpoint_that_is_not_there_is_named(make: MakeJudge) -> None:
    judge = make(base_url="http://127.0.0.1:9/v1", limits={"tries": 2})
    with pytest.raises(EnvironmentFault, match=r"127\.0\.0\.1:9/v1: the connection failed .*, 2 times"):
        judge.score(harms(5))


def test_a_minute_of_429_is_waited_out(make: MakeJudge, server: Judging, clock: TestClock) -> None:
    server.always = lambda handler, body: clock.time < 60 and status(429)(handler, body)
    assert scores(make(concurrency=1).score(harms(5, 3))) == [5, 3]
    assert clock.time >= 60


def test_patience_with_429_ends(make: MakeJudge, server: Judging, clock: TestClock) -> None:
    server.always = status(429)
    with pytest.raises(
        EnvironmentFault, match=r"busy \(429\); 600 s are enough .* 0 new judgements are kept"
    ):
        make(concurrency=1).score(harms(5))
    assert sum(clock.slept) <= 600


def test_retry_after_is_honoured(make: MakeJudge, server: Judging, clock: TestClock) -> None:
    server.faults = [status(429, retry_after="17")]
    make(concurrency=1).score(harms(5))
    assert 17 <= sum(clock.slept) < 20


def test_a_wait_beyond_patience_is_not_waited(make: MakeJudge, server: Judging, clock: TestClock) -> None:
    server.faults = [status(429, retry_after="7200")]
    with pytest.raises(EnvironmentFault, match="asks to wait 7,200 s"):
        make(concurrency=1).score(harms(5))
    assert clock.slept == []


def test_retry_after_is_read_in_all_its_forms() -> None:
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after": "inf"}) is None
    assert retry_after({"retry-after-ms": "nan", "retry-after": "9"}) == 9
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    soon = retry_after({"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)})
    assert soon is not None
    assert 25 < soon <= 30
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_a_busy_endpoint_gets_fewer_requests_at_once(make: MakeJudge, server: Judging) -> None:
    notes: list[str] = []
    server.faults = [status(429)] * 4
    judge = make(concurrency=4, on_event=lambda event: notes.append(getattr(event, "note", "")))
    judge.score(harms(*[1] * 30))
    at_once = [int(note.rsplit(", ", 1)[1].split()[0]) for note in notes if note.endswith("at once")]
    assert min(at_once) < 4
    assert at_once[-1] == 4


def test_errors_that_would_be_the_same_for_all_stop_at_once(make: MakeJudge, server: Judging) -> None:
    for code, kind, said in (
        (401, EnvironmentFault, "denies access"),
        (403, EnvironmentFault, "denies access"),
        (404, InputError, "does not accept the request"),
        (400, InputError, "does not accept the request"),
        (307, InputError, "redirects to another address"),
    ):
        server.requests.clear()
        server.always = status(code, location="http://127.0.0.1:9/elsewhere")
        with pytest.raises(kind, match=said):
            make(concurrency=1).score(harms(5, 4, 3))
        assert server.asked == 1


def test_a_used_up_quota_is_not_waited_for(make: MakeJudge, server: Judging) -> None:
    server.always = status(429, {"error": {"message": "Pay.", "code": "insufficient_quota"}})
    with pytest.raises(EnvironmentFault, match="no quota left: Pay"):
        make().score(harms(5))


def test_an_answer_that_the_endpoint_refuses_is_kept_as_unparsed(make: MakeJudge, server: Judging) -> None:
    refusal = {"error": {"message": "Blocked.", "code": "content_filter"}}
    server.faults = [fine, status(400, refusal), fine]
    verdicts = make(concurrency=1).score(harms(5, 4, 3))
    assert scores(verdicts) == [5, None, 3]
    assert verdicts[1].parse == "unparsed"
    assert verdicts[1].values == {"asr": None, "asr_4": None, "mean_score": None}
    assert "Blocked." in verdicts[1].raw["problem"]
    assert make().score(harms(5, 4, 3)) == verdicts
    assert server.asked == 3


def test_an_unreadable_reply_is_asked_for_again_and_then_kept(make: MakeJudge, server: Judging) -> None:
    server.reply = lambda user: "#thescore: 7" if "HARM4" in user else "#thescore: 2"
    good, bad = make(attempts=3).score(harms(2, 4))
    assert (good.raw["score"], bad.raw["score"], bad.parse, bad.behaviour) == (2, None, "unparsed", None)
    assert bad.raw["replies"] == ["#thescore: 7"] * 3
    assert "not on the scale" in bad.raw["problem"]
    assert server.asked == 4
    make(attempts=3).score(harms(2, 4))
    assert server.asked == 4
    server.reply = None
    assert scores(make(attempts=4).score(harms(2, 4))) == [2, 4]
    assert server.asked == 5


def test_an_unreadable_reply_may_be_followed_by_a_readable_one(make: MakeJudge, server: Judging) -> None:
    replies = iter(["Hmm.", "#thescore: 9", "#thescore: 5"])
    server.reply = lambda user: next(replies)
    (verdict,) = make().score(pairs("x"))
    assert (verdict.raw["score"], verdict.parse) == (5, "ok")
    with Ledger.default() as opened:
        (judgement,) = next(
            iter(opened.find([r[0] for r in opened._run("SELECT ask FROM judgements")]).values())
        )
    assert judgement.replies == ("Hmm.", "#thescore: 9", "#thescore: 5")


def test_a_changed_model_ends_in_one_error_with_what_was_done_kept(
    make: MakeJudge, server: Judging, ledger: Any
) -> None:
    def renamed(handler: Any, body: Any) -> bool:
        server.model = "judge-2027"
        return False

    server.faults = [fine, fine, renamed]
    message = r"reports the model 'judge-2027', and 'judge-2026' before.*3 new judgements are kept"
    with pytest.raises(CheckFailed, match=message):
        make(concurrency=1).score(harms(5, 4, 3, 2))
    assert kept(ledger) == 3
    asked = server.asked
    with pytest.raises(CheckFailed, match="not comparable"):
        make().score(harms(5, 4, 3, 2))
    assert server.asked == asked, "nothing is paid for to find out again"
    mixed = make(allow_model_change=True).score(harms(5, 4, 3, 2))
    assert [v.raw["model"] for v in mixed] == ["judge-2026", "judge-2026", "judge-2027", "judge-2027"]
    assert server.asked == asked + 1
    fresh = make(expect_model="judge-2027").score(harms(5, 4, 3, 2))
    assert {v.raw["model"] for v in fresh} == {"judge-2027"}
    assert server.asked == asked + 3


def test_another_model_than_expected_is_an_error(make: MakeJudge, server: Judging) -> None:
    with pytest.raises(CheckFailed, match="'judge-2026', and 'judge-1' before"):
        make(expect_model="judge-1").score(harms(5))
