"""One request to an endpoint, against a real server: what is sent, and what becomes of any reply."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from puretune.endpoints import Client, Endpoint, Limits, Reply, Trouble, _sdk, need, run
from puretune.errors import EnvironmentFault, InputError, PuretuneError
from tests.scoring.judges.server import Fault, Handler, Judging, serving, status

MESSAGES = [{"role": "user", "content": "hello"}]
WELL = {"model": "m", "choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}


@pytest.fixture
def server() -> Iterator[Judging]:
    with serving(Judging()) as judging:
        yield judging


def ask(server: Judging, key: str | None = None, **body: Any) -> Reply:
    found: list[Reply] = []

    async def work() -> None:
        client = Client(Endpoint("judge 'm'", server.url, key, Limits(read=2.0, total=4.0)))
        try:
            found.append(await client.ask({"model": "m", "messages": MESSAGES, **body}))
        finally:
            await client.close()

    run(work())
    return found[0]


def raw(content: bytes, **headers: str) -> Fault:
    """A fault: these bytes, called JSON, with status 200."""

    def fault(handler: Handler, _: dict[str, Any]) -> bool:
        handler.send(200, content, "application/json", **headers)
        return True

    return fault


def replying(**changes: Any) -> Fault:
    """A completion with these fields changed."""
    return raw(json.dumps({**WELL, **changes}).encode())


def choosing(**changes: Any) -> Fault:
    return replying(choices=[{**WELL["choices"][0], **changes}])  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "fault",
    [
        raw(b'{"choices": ['),
        raw(b"[" * 200_000),
        raw(b'{"a":' * 200_000),
        raw(b""),
        raw(b"null"),
        raw(b"[1, 2]"),
        raw(b"3"),
        raw(b"\xff\xfe"),
        raw(b'{"choices": {"a": 1}, "usage": [], "model": {"x": 1}}'),
        raw(b"9" * 5000),
        replying(choices=[]),
        replying(choices=None),
        replying(model=3),
        replying(model=["m"]),
        replying(model="m" * 5000),
        replying(usage=[1]),
        choosing(message={"content": ["a"]}),
        choosing(message=[]),
        choosing(finish_reason=["a"]),
        choosing(token_ids=7),
        choosing(token_ids=["x", {}]),
        choosing(token_ids=[True]),
        raw(b"not gzip", content_encoding="gzip"),
        raw(b"anything", content_encoding="br"),
    ],
)
def test_a_reply_that_is_no_completion_is_a_failure_to_be_tried_again(server: Judging, fault: Fault) -> None:
    server.always = fault
    with pytest.raises(Trouble) as caught:
        ask(server)
    assert caught.value.kind == "failed"
    assert "\n" not in str(caught.value)


def test_a_packed_reply_is_unpacked_up_to_a_size(server: Judging, monkeypatch: pytest.MonkeyPatch) -> None:
    server.always = raw(gzip.compress(json.dumps(WELL).encode()), content_encoding="gzip")
    assert ask(server).text == "yes"
    assert server.headers[0]["accept-encoding"] == "identity"
    server.always = raw(gzip.compress(b" " * 50_000_000), content_encoding="gzip")
    with pytest.raises(Trouble, match="its reply is longer than 16 MB"):
        ask(server)
    monkeypatch.setattr(_sdk, "LARGEST_REPLY", 1000)
    server.always = raw(json.dumps(WELL).encode() + b" " * 1000)
    with pytest.raises(Trouble, match="longer than"):
        ask(server)


def test_a_reply_without_an_end_is_left_after_its_largest_size(server: Judging) -> None:
    sent = 0

    def endless(handler: Handler, _: dict[str, Any]) -> bool:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.end_headers()
        handler.close_connection = True
        try:
            while sent < 10**9:
                handler.wfile.write(b" " * 2**20)
                sent += 2**20
        except OSError:
            pass
        return True

    server.always = endless
    with pytest.raises(Trouble, match="longer than 16 MB"):
        ask(server)
    assert sent < 64 * 2**20


def test_counts_that_are_nonsense_count_as_unknown(server: Judging) -> None:
    server.always = replying(usage={"prompt_tokens": -5, "completion_tokens": 10**300})
    reply = ask(server)
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("yes", 0, 0)


def test_what_an_endpoint_calls_its_model_is_shown_in_full(server: Judging) -> None:
    server.always = replying(model="gpt\x1b[2J\x07\u202e")
    assert ask(server).model == r"gpt\x1b[2J\x07\u202e"
    server.always = raw(b'{"model":"a\\ud800","choices":[{"message":{"content":"\\udfff"}}]}')
    assert ask(server) == Reply("?", r"a\ud800")


def test_an_endpoints_error_is_one_line_without_control_characters(server: Judging) -> None:
    server.always = status(400, {"error": {"message": "oops\n\x1b[2J\u200b", "code": "x\x07"}})
    with pytest.raises(InputError) as caught:
        ask(server)
    assert r"(400): oops \x1b[2J\u200b. Check base_url" in str(caught.value)


def test_an_error_that_is_nested_too_deeply_is_one_message(server: Judging) -> None:
    def deep(handler: Handler, _: dict[str, Any]) -> bool:
        handler.send(400, b'{"error":' * 900 + b"1" + b"}" * 900, "application/json")
        return True

    server.always = deep
    with pytest.raises(InputError, match=r"does not accept the request \(400\)"):
        ask(server)


@pytest.mark.parametrize(
    ("code", "error", "refused"),
    [
        (400, {"message": "too long", "code": "context_length_exceeded"}, True),
        (400, {"message": "This model's maximum context length is 2048 tokens."}, True),
        (400, {"message": "The decoder prompt (length 9) is longer than the maximum model length"}, True),
        (400, {"message": "the request exceeds the available context size"}, True),
        (400, {"message": "filtered", "code": "content_filter"}, True),
        (413, {"message": "too large"}, True),
        (400, {"message": "unknown field 'seed'"}, False),
        (404, {"message": "no model with a maximum context length"}, False),
    ],
)
def test_an_error_about_one_text_is_told_from_one_about_every_request(
    server: Judging, code: int, error: dict[str, Any], refused: bool
) -> None:
    server.always = status(code, {"error": error})
    with pytest.raises(Trouble if refused else InputError) as caught:
        ask(server)
    assert not refused or caught.value.kind == "refused"  # type: ignore[attr-defined]


def test_headers_of_the_environment_go_to_nobody_else(
    server: Judging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-SECRET")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-SECRET")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "admin-SECRET")
    custom = "X-Gateway: gw-SECRET\nAuthorization: Bearer SECRET\nUser-Agent: SECRET\nCookie: SECRET"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", custom)
    ask(server)
    assert "SECRET" not in str(server.headers)
    assert server.headers[0]["authorization"] == "Bearer none"
    monkeypatch.setenv("MY_KEY", "sk-1")
    ask(server, "MY_KEY")
    assert server.headers[1]["authorization"] == "Bearer sk-1"


def test_openais_own_endpoint_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: gw-1")

    def headers(url: str) -> dict[str, Any]:
        return dict(_sdk.sdk(Endpoint("judge", url, None), "none").default_headers)

    own = headers("https://api.openai.com/v1")
    assert (own["OpenAI-Organization"], own["X-Gateway"]) == ("org-1", "gw-1")
    for url in (
        "http://api.openai.com/v1",
        "https://api.openai.com.example.com/v1",
        "https://notapi.openai.com/v1",
    ):
        assert "1" not in str(headers(url).get("OpenAI-Organization", ""))
        assert "X-Gateway" not in headers(url)


@pytest.mark.parametrize("code", [400, 401, 500])
def test_a_key_that_an_endpoint_repeats_is_masked(
    server: Judging, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-mine-42")
    server.always = status(code, {"error": {"message": "got Bearer sk-mine-42", "code": "sk-mine-42"}})
    with pytest.raises((Trouble, PuretuneError)) as caught:
        ask(server, "MY_KEY")
    assert "sk-mine-42" not in str(caught.value)
    server.always = replying(model="sk-mine-42", choices=[{"message": {"content": "your key is sk-mine-42"}}])
    assert ask(server, "MY_KEY") == Reply("your key is ***", "***")


@pytest.mark.parametrize("key", ["sk 1", "sk\n1", "sk-é", "\x1b[2J"])
def test_a_value_that_is_no_key_is_not_sent_or_shown(
    server: Judging, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(EnvironmentFault, match="MY_KEY is not a key") as caught:
        ask(server, "MY_KEY")
    assert key not in str(caught.value)
    assert server.asked == 0


def test_text_that_no_request_can_hold_is_an_input_error(server: Judging) -> None:
    with pytest.raises(InputError, match="a request cannot be sent"):
        ask(server, messages=[{"role": "user", "content": "\ud800"}])
    assert server.asked == 0


def test_an_object_of_other_types_is_a_failure(server: Judging) -> None:
    class Found:
        id = 3

    async def found() -> Found:
        return need(Found(), id=str)

    async def work() -> None:
        client = Client(Endpoint("judge", server.url, None))
        with pytest.raises(Trouble, match="its id is the number 3"):
            await client.call(found)
        await client.close()

    asyncio.run(work())
