"""A live server: vLLM's and llama.cpp's ways to tell tokens, and endpoints that tell their number only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from transformers import AutoTokenizer

from puretune.deploy import server, verify
from puretune.errors import EnvironmentFault, InputError

Answer = Callable[[str, dict[str, Any]], tuple[int, Any]]
"""(path, body) -> (status, reply)"""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(*answer(self.path, {}))

        def do_POST(self) -> None:
            self.reply(*answer(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def reply(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/v1"
    finally:
        running.shutdown()
        running.server_close()


class Rendering:
    """What the servers below do: render a directory's chat template with transformers."""

    def __init__(self, directory: Path, first: tuple[int, ...] = ()) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.first = first

    def text(self, body: dict[str, Any]) -> str:
        own = self.tokenizer.apply_chat_template
        return str(own(body["messages"], tools=body.get("tools"), add_generation_prompt=True, tokenize=False))

    def ids(self, body: dict[str, Any]) -> list[int]:
        text = body["content"] if "content" in body else self.text(body)
        return [*self.first, *self.tokenizer(text, add_special_tokens=False)["input_ids"]]

    def vllm(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/tokenize":
            return self.tried(lambda: {"tokens": self.ids(body), "count": 1})
        return self.other(path)

    def llama_cpp(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/tokenize":
            return self.tried(lambda: {"tokens": self.ids(body) if "content" in body else []})
        if path == "/apply-template":
            return self.tried(lambda: {"prompt": self.text(body)})
        return self.other(path)

    def plain(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/chat/completions":
            return self.tried(lambda: {"usage": {"prompt_tokens": len(self.ids(body))}})
        return self.other(path)

    def tried(self, made: Callable[[], Any]) -> tuple[int, Any]:
        try:
            return 200, made()
        except Exception as error:
            return 400, {"error": {"message": str(error)}}

    def other(self, path: str) -> tuple[int, Any]:
        return (200, {"data": [{"id": "served"}]}) if path == "/v1/models" else (404, {"error": "no"})


WAYS = ("vllm", "llama_cpp", "plain")


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_renders_the_export_passes(shipped: Path, way: str) -> None:
    with serving(getattr(Rendering(shipped), way)) as url:
        found = verify(shipped, [server(url)])
    checked = found.checked[-1]
    assert found.passed, found.findings
    assert (checked.consumer, checked.right) == (f"served at {url}", 10)
    assert ("numbers of tokens" in checked.note) == (way == "plain")


@pytest.mark.parametrize("way", WAYS)
def test_a_second_bos_of_the_server_is_named(shipped: Path, way: str) -> None:
    with serving(getattr(Rendering(shipped, first=(1,)), way)) as url:
        found = verify(shipped, [server(url)])
    assert "two-bos" in {one.accident for one in found.findings}


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_has_the_base_models_template_is_found(shipped: Path, way: str) -> None:
    base = json.loads((shipped / "serving.json").read_text("utf-8"))["base"]["model"]
    with serving(getattr(Rendering(Path(base)), way)) as url:
        found = verify(shipped, [server(url)])
    told = {one.accident for one in found.findings}
    assert "base-template" in told
    assert "accepted" in told, "it swallows tools"


def test_what_does_not_answer_or_denies_is_an_error_that_says_what_to_do(shipped: Path) -> None:
    with serving(lambda path, body: (200, {"data": []})) as url, pytest.raises(InputError, match="lists no"):
        server(url)
    with pytest.raises(EnvironmentFault, match="Start the server"):
        server(url)
    with (
        serving(lambda path, body: (401, {"error": "who"})) as url,
        pytest.raises(EnvironmentFault, match="--api-key-env"),
    ):
        server(url)
    with pytest.raises(InputError, match="not an http"):
        server("ftp://x")


def test_a_key_goes_where_it_was_named_for(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_KEY", "")
    with pytest.raises(EnvironmentFault, match="SHIP_KEY is not set"):
        server("http://127.0.0.1:9/v1", "m", "SHIP_KEY")


@pytest.mark.parametrize(
    "reply", [[], {"tokens": "x"}, {"tokens": [None]}, "text", {"usage": {"prompt_tokens": -1}}]
)
def test_a_reply_that_is_none_is_no_pass(shipped: Path, reply: Any) -> None:
    with serving(lambda path, body: (200, reply)) as url:
        found = verify(shipped, [server(url, "m")])
    assert not found.passed
