"""The engine behind an endpoint, against a real server on loopback: protocol, faults, nothing asked twice."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.events import Event, Finished, Started
from puretune.inference import Answer, Decoding, OpenAIEngine, OpenAISpec, Request, engine_spec
from puretune.models import AdapterRef, served_model
from puretune.templates import Message
from tests.scoring.judges.conftest import TestClock
from tests.scoring.judges.server import Fault, Judging, fine, half, hang_up, page, serving, stall, status

SHORT = {"read": 0.15, "total": 0.3}
Make = Callable[..., OpenAIEngine]


@pytest.fixture
def server() -> Iterator[Judging]:
    with serving(Judging(model="gpt-2026")) as judging:
        judging.reply = lambda user: f" You said {user}. "
        yield judging


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def make(server: Judging, clock: TestClock) -> Make:
    """An engine with options; ``kept`` is its file of replies."""

    def made(kept: Path | None = None, **options: Any) -> OpenAIEngine:
        spec = engine_spec("openai", {"model": "gpt", "base_url": server.url, **options})
        assert isinstance(spec, OpenAISpec)
        return OpenAIEngine(spec, kept=kept, clock=clock, rng=random.Random(0))

    return made


def chats(*said: str, adapter: AdapterRef | None = None, **how: Any) -> list[Request]:
    decoding = Decoding(**{"max_new_tokens": 9, **how})
    return [Request(f"r{n}", (), adapter, decoding, (Message("user", text),)) for n, text in enumerate(said)]


def texts(answers: Any) -> dict[str, str]:
    return {answer.key: answer.text for answer in answers}


def test_a_chat_is_sent_as_turns_and_its_answer_says_who_gave_it(make: Make, server: Judging) -> None:
    turns = (Message("system", "Be brief."), Message("user", "hello"))
    (answer,) = make().generate([Request("k", (), None, Decoding(max_new_tokens=9), turns)])
    assert answer == Answer("k", 0, "You said hello.", (), "stop", "gpt-2026")
    assert server.requests == [
        {
            "model": "gpt",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hello"},
            ],
            "max_tokens": 9,
            "temperature": 0.0,
            "top_p": 1.0,
            "seed": 42,
        }
    ]


def test_a_completion_is_sent_as_token_ids(make: Make, server: Judging) -> None:
    asked = [Request("k", (1, 5, 7), None, Decoding(max_new_tokens=4))]
    (answer,) = make(kind="completions").generate(asked)
    assert (answer.text, answer.finish) == ("3 tokens", "length")
    assert server.requests[0]["prompt"] == [1, 5, 7]
    assert "messages" not in server.requests[0]


def test_options_shape_the_request(make: Make, server: Judging) -> None:
    options = {
        "omit": ["temperature", "seed"],
        "token_limit": "max_completion_tokens",
        "extra": {"user": "u"},
    }
    list(make(**options).generate(chats("x")))
    assert server.requests[0].keys() == {"model", "messages", "max_completion_tokens", "top_p", "user"}


def test_identical_requests_are_made_once_and_samples_have_seeds_of_their_own(
    make: Make, server: Judging
) -> None:
    events: list[Event] = []
    found = list(make().generate(chats("a", "a", n=2), events.append))
    assert len(server.requests) == 1
    assert sorted((a.key, a.sample) for a in found) == [("r0", 0), ("r0", 1), ("r1", 0), ("r1", 1)]
    assert (events[0], events[-1]) == (Started("answer", 1), Finished("answer", "1 answers, 1 of them new"))
    list(make().generate(chats("a", n=3, temperature=1.0)))
    seeds = {body["seed"] for body in server.requests[1:]}
    assert len(seeds) == 3
    list(make().generate(chats("a", n=3, temperature=1.0)))
    assert {body["seed"] for body in server.requests[4:]} == seeds


def test_a_served_model_is_asked_for_by_its_name(make: Make, server: Judging) -> None:
    list(make().generate(chats("a", adapter=served_model("ft:gpt:mine"))))
    assert server.requests[0]["model"] == "ft:gpt:mine"
    with pytest.raises(InputError, match="cannot be given the adapter some/adapter"):
        list(make().generate(chats("a", adapter=AdapterRef(Path("some/adapter"), "0"))))


@pytest.mark.parametrize("fault", [page, hang_up, half, stall, status(500), status(503), status(429)])
def test_a_passing_fault_costs_only_a_wait(
    make: Make, server: Judging, clock: TestClock, fault: Fault
) -> None:
    server.faults = [fault, fault]
    found = texts(make(limits=SHORT, concurrency=1).generate(chats("a", "b")))
    assert found == {"r0": "You said a.", "r1": "You said b."}
    assert server.asked == 4
    assert 0.5 <= clock.slept[0] <= 1.0 <= clock.slept[1] <= 2.0


def test_retry_after_is_waited_for(make: Make, server: Judging, clock: TestClock) -> None:
    server.faults = [status(429, retry_after="7")]
    list(make(concurrency=1).generate(chats("a")))
    assert 7 <= clock.time <= 8


def test_a_stopped_run_asks_again_only_for_what_it_lacks(make: Make, server: Judging, tmp_path: Path) -> None:
    kept = tmp_path / "replies.jsonl"
    server.faults, server.always = [fine, fine], status(502)
    limits = {**SHORT, "tries": 2}
    with pytest.raises(EnvironmentFault, match=r"engine 'openai' at http.*it answers 502.*answered is kept"):
        list(make(kept, limits=limits, concurrency=1).generate(chats("a", "b", "c", "d")))
    with kept.open("a") as file:
        file.write('{"ask": "cut o')  # as a crash would leave it
    asked, server.always = server.asked, None
    found = texts(make(kept).generate(chats("a", "b", "c", "d")))
    assert found == {f"r{n}": f"You said {text}." for n, text in enumerate("abcd")}
    assert server.asked == asked + 2
    list(make(kept).generate(chats("a", "b", "c", "d")))
    assert server.asked == asked + 2


def test_errors_that_would_be_the_same_for_all_stop_at_once(make: Make, server: Judging) -> None:
    for code, kind, said in (
        (401, EnvironmentFault, "denies access"),
        (404, InputError, "does not accept the request"),
        (307, InputError, "redirects to another address"),
    ):
        server.requests.clear()
        server.always = status(code, location="http://127.0.0.1:9/elsewhere")
        with pytest.raises(kind, match=said):
            list(make(concurrency=1).generate(chats("a", "b")))
        assert server.asked == 1


@pytest.mark.parametrize(
    "refusal",
    [
        {"message": "Blocked.", "code": "content_filter"},
        {"message": "Blocked. This model's maximum context length is 2048 tokens.", "code": 400},
    ],
)
def test_a_refused_request_is_an_error_and_no_answer(
    make: Make, server: Judging, refusal: dict[str, Any]
) -> None:
    server.faults = [status(400, {"error": refusal})]
    events: list[Event] = []
    first, second = make(concurrency=1).generate(chats("a", "b"), events.append)
    assert (first.text, first.finish) == ("", "error")
    assert (second.text, second.finish, second.note) == ("You said b.", "stop", "")
    assert first.note.startswith("refused: ")
    assert "Blocked." in first.note
    assert events[-1] == Finished(
        "answer", "2 answers, 2 of them new; 1 refused by the endpoint: they count as errors"
    )


def test_an_answer_that_was_filtered_away_whole_is_an_error(make: Make, server: Judging) -> None:
    def filtered(text: str) -> Fault:
        choice = {"message": {"content": text}, "finish_reason": "content_filter"}
        return status(200, {"model": "gpt-2026", "choices": [choice]})

    server.faults = [filtered(""), filtered("So far")]
    first, second = make(concurrency=1).generate(chats("a", "b"))
    assert (first.text, first.finish, first.note) == ("", "error", "content_filter")
    assert (second.text, second.finish, second.note) == ("So far", "stop", "content_filter")


class _Renderer:
    stop_ids = frozenset((2, 7))

    def parse(self, ids: Any) -> str:
        return " ".join(str(id) for id in ids if id not in self.stop_ids)


def completing(server: Judging, model: Any = None, **options: Any) -> OpenAIEngine:
    given = {"model": "m", "base_url": server.url, "kind": "completions", **options}
    spec = engine_spec("openai", given)
    assert isinstance(spec, OpenAISpec)
    return OpenAIEngine(spec, model)


def test_completions_send_stop_ids_and_every_sampling_setting(server: Judging) -> None:
    model = SimpleNamespace(renderer=_Renderer())
    asked = [Request("k", (1, 5), None, Decoding(max_new_tokens=4, temperature=0.5, top_p=0.9))]
    list(completing(server, model).generate(asked))
    (body,) = server.requests
    seed = body.pop("seed")
    assert isinstance(seed, int)
    assert body == {
        "model": "m",
        "prompt": [1, 5],
        "max_tokens": 4,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_token_ids": [2, 7],
        "return_token_ids": True,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }
    list(completing(server, model, omit=["top_k", "stop_token_ids"]).generate(asked))
    assert server.requests[1].keys() == {*body, "seed"} - {"top_k", "stop_token_ids"}


def test_an_answer_ends_at_its_stop_token_whatever_the_server_knows_of_it(server: Judging) -> None:
    choice = {"text": " x", "finish_reason": "length", "token_ids": [4, 7, 9, 9]}
    server.always = status(200, {"model": "gpt-2026", "choices": [choice]})
    (answer,) = completing(server, SimpleNamespace(renderer=_Renderer())).generate([Request("k", (1, 5))])
    assert (answer.text, answer.token_ids, answer.finish) == ("4", (4, 7), "stop")


def test_a_field_that_the_endpoint_does_not_take_is_named_with_what_to_do(server: Judging) -> None:
    server.always = status(400, {"error": {"message": "Unrecognized argument: top_k", "code": None}})
    with pytest.raises(InputError, match=r"Unrecognized argument: top_k.*`omit: \[NAME\]`"):
        list(completing(server).generate([Request("k", (1, 5))]))


def test_a_changed_model_is_an_error_unless_it_may_be_mixed(
    make: Make, server: Judging, tmp_path: Path
) -> None:
    def renamed(handler: Any, body: Any) -> bool:
        server.model = "gpt-2027"
        return False

    server.faults = [fine, renamed]
    kept = tmp_path / "replies.jsonl"
    with pytest.raises(CheckFailed, match="reports the model 'gpt-2027', and 'gpt-2026' before"):
        list(make(kept, concurrency=1).generate(chats("a", "b")))
    mixed = make(kept, allow_model_change=True).generate(chats("a", "b"))
    assert [answer.reported for answer in mixed] == ["gpt-2026", "gpt-2027"]


def test_two_models_may_have_two_names(make: Make, server: Judging) -> None:
    server.faults = [fine, status(200, {"model": "ft", "choices": [{"message": {"content": "x"}}]})]
    asked = [*chats("a"), *chats("a", adapter=served_model("ft"))]
    assert [a.reported for a in make(concurrency=1).generate(asked)] == ["gpt-2026", "ft"]


def test_a_disk_without_room_ends_in_one_message(make: Make, tmp_path: Path) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, usual[1]))
    try:
        with pytest.raises(EnvironmentFault, match=r"replies\.jsonl: cannot be written: File too large"):
            list(make(tmp_path / "replies.jsonl").generate(chats("a")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert texts(make(tmp_path / "replies.jsonl").generate(chats("a"))) == {"r0": "You said a."}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "ftp://x"}, "is not an http"),
        ({"base_url": "https://me:secret@x/v1"}, "no user, password"),
        ({"concurrency": 0}, "concurrency: 0 is out of range"),
        ({"extra": {"messages": []}}, "'messages' cannot be set here"),
        ({"kind": "chats"}, "'chat' or 'completions'"),
        ({"limits": {"reed": 1}}, "limits"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        engine_spec("openai", options)


def test_a_missing_key_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(EnvironmentFault, match=r"engine 'openai': the environment variable NO_SUCH_KEY"):
        list(make(api_key_env="NO_SUCH_KEY").generate(chats("a")))


def test_a_request_of_the_wrong_form_is_named(make: Make) -> None:
    with pytest.raises(InputError, match="`kind: chat` needs messages"):
        list(make().generate([Request("k", (1, 2))]))
    with pytest.raises(InputError, match="`kind: completions` needs ids"):
        list(make(kind="completions").generate(chats("a")))
