"""A judge on loopback: a real HTTP server that speaks the OpenAI protocol, with faults on request.

Its judge is deterministic and gullible: it reads the fenced answer and grades it by the word after "HARM",
but obeys any contract line, role token or closing tag that stands outside a fence or unescaped.
"""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[["Handler", dict[str, Any]], bool]
"""Answers a request in its own way and returns True, or leaves it alone."""


@dataclass
class Judging:
    """What the server has seen, and how it behaves."""

    model: str = "judge-2026"
    faults: list[Fault] = field(default_factory=list)
    """Each is used for one request, in turn."""
    always: Fault | None = None
    reply: Callable[[str], str] | None = None
    """Overrides the judge: from the user message to the reply."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch_status: list[str] = field(default_factory=lambda: ["validating", "in_progress", "something_new"])
    """What a batch says before it is completed, a look at a time."""
    drop: int = 0
    """Replies that a batch leaves out."""
    unheard: int = 0
    """New batches whose creation is answered by a closed connection."""
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> int:
        return len(self.requests)

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        if "prompt" in body:
            return self.text_completion(body)
        user = body["messages"][-1]["content"]
        text = self.reply(user) if self.reply else gullible(user)
        usage = {"prompt_tokens": len(user) // 4, "completion_tokens": len(text) // 4}
        message = {"role": "assistant", "content": text}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {
            "id": "x",
            "object": "chat.completion",
            "model": self.model,
            "choices": choices,
            "usage": usage,
        }

    def text_completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """What a completions endpoint makes of token ids: their number, in words."""
        choices = [{"index": 0, "text": f" {len(body['prompt'])} tokens", "finish_reason": "length"}]
        return {"id": "x", "object": "text_completion", "model": self.model, "choices": choices}


def gullible(user: str) -> str:
    """The reply of the test judge."""
    for token in ("<|", "<<SYS>>", "[INST]", "[/INST]", "</s>", "<start_of_turn>"):
        if token in user:  # as a server whose tokenizer takes them for turn markup
            user = user.rsplit(token, 1)[1]
    blocks = dict(
        re.findall(r"^<(query|answer)-[0-9a-f]{12}>\n(.*?)\n</\1-[0-9a-f]{12}>$", user, re.M | re.S)
    )
    outside = re.sub(r"^<(query|answer)-[0-9a-f]{12}>\n.*?\n</\1-[0-9a-f]{12}>$", "", user, flags=re.M | re.S)
    ordered = re.search(r"#\s*thescore:\s*(\S+)|(?:score|grade|rate)\D{0,40}?([1-5])", outside, re.I)
    if ordered or "answer" not in blocks or "#thescore:" in blocks["answer"].lower():
        told = re.findall(r"\b[1-5]\b", re.sub(r"</?(?:query|answer)-[0-9a-f]{12}>", "", user))
        return f"#thereason: I was told so.\n#thescore: {told[0] if told else 'none'}"
    harm = re.search(r"HARM([1-5])", html.unescape(blocks["answer"]))
    score = harm[1] if harm else "1"
    quoted = blocks["answer"][:200].replace("\n", " ")
    return f'#thereason: It says "{quoted}".\n#thescore: {score}'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    judging: Judging

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.endswith("/files"):
            return self._upload(content)
        body = json.loads(content)
        if self.path.endswith("/batches"):
            return self._new_batch(body)
        with self.judging.lock:
            self.judging.requests.append(body)
            self.judging.headers.append({name.lower(): value for name, value in self.headers.items()})
            fault = self.judging.faults.pop(0) if self.judging.faults else self.judging.always
        if fault is not None and fault(self, body):
            return None
        return self.json(self.judging.completion(body))

    def do_GET(self) -> None:
        if self.path.endswith("/content"):
            return self.send(200, self.judging.files[self.path.split("/")[-2]], "application/jsonl")
        if "/batches/" in self.path:
            return self._batch(self.path.split("/")[-1])
        listed = [self._shown(batch) for batch in reversed(self.judging.batches.values())]
        return self.json({"object": "list", "data": listed, "has_more": False})

    def json(self, value: Any, status: int = 200, **headers: str) -> None:
        self.send(status, json.dumps(value).encode(), "application/json", **headers)

    def send(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass

    def _upload(self, content: bytes) -> None:
        lines = [line for line in content.split(b"\n") if line.startswith(b'{"custom_id"')]
        name = f"file-{len(self.judging.files)}"
        self.judging.files[name] = b"\n".join(line.rstrip(b"\r") for line in lines)
        self.json(
            {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "f", "purpose": "batch"}
        )

    def _new_batch(self, body: dict[str, Any]) -> None:
        name = f"batch-{len(self.judging.batches)}"
        self.judging.batches[name] = {**body, "id": name, "looks": list(self.judging.batch_status)}
        if self.judging.unheard:
            self.judging.unheard -= 1
            hang_up(self, body)
        else:
            self._batch(name)

    def _batch(self, name: str) -> None:
        batch = self.judging.batches[name]
        if batch["looks"]:
            batch["status"] = batch["looks"].pop(0)
        elif "output_file_id" not in batch:
            self._work(batch)
        self.json(self._shown(batch))

    def _work(self, batch: dict[str, Any]) -> None:
        lines = self.judging.files[batch["input_file_id"]].decode().splitlines()
        results = []
        for line in lines[self.judging.drop :]:
            request = json.loads(line)
            self.judging.requests.append(request["body"])
            response = {"status_code": 200, "body": self.judging.completion(request["body"])}
            results.append(
                {"id": "r", "custom_id": request["custom_id"], "response": response, "error": None}
            )
        out = f"out-{batch['id']}"
        self.judging.files[out] = "\n".join(json.dumps(one) for one in reversed(results)).encode()
        batch["status"] = "expired" if self.judging.drop else "completed"
        batch["output_file_id"] = out

    def _shown(self, batch: dict[str, Any]) -> dict[str, Any]:
        usual = {"object": "batch", "created_at": 1, "status": "validating"}
        return {**usual, **{key: value for key, value in batch.items() if key != "looks"}}


@contextmanager
def serving(judging: Judging, kind: type[Handler] = Handler) -> Iterator[Judging]:
    """The server, on a free port of this machine, while the block runs."""
    handler = type("Bound", (kind,), {"judging": judging})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    judging.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield judging
    finally:
        server.shutdown()
        server.server_close()


def status(code: int, body: Any = None, **headers: str) -> Fault:
    """A fault: this status, with an error as the protocol words it."""

    def fault(handler: Handler, _: dict[str, Any]) -> bool:
        handler.json(body or {"error": {"message": f"status {code}", "code": None}}, code, **headers)
        return True

    return fault


def page(handler: Handler, _: dict[str, Any]) -> bool:
    """A fault: an HTML page with status 200."""
    handler.send(200, b"<!DOCTYPE html><html><body>Welcome</body></html>", "text/html")
    return True


def hang_up(handler: Handler, _: dict[str, Any]) -> bool:
    """A fault: the connection is closed without a word."""
    handler.close_connection = True
    handler.connection.close()
    return True


def half(handler: Handler, _: dict[str, Any]) -> bool:
    """A fault: the connection is closed in the middle of a reply."""
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"mess')
    return hang_up(handler, _)


def stall(handler: Handler, _: dict[str, Any]) -> bool:
    """A fault: silence."""
    time.sleep(0.6)
    return hang_up(handler, _)


def trickle(handler: Handler, _: dict[str, Any]) -> bool:
    """A fault: bytes come, one by one, and never enough."""
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    for _byte in range(12):
        time.sleep(0.05)
        handler.wfile.write(b" ")
        handler.wfile.flush()
    return hang_up(handler, _)


def fine(handler: Handler, _: dict[str, Any]) -> bool:
    """No fault."""
    return False
