"""A real S3 server on loopback (moto's), and one that fails a share of its calls, seeded."""

from __future__ import annotations

import logging
import random
import secrets
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any

import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

SECRET = "planted-secret-9d41f7"


class Server:
    """Answers as S3 does, one request after another; ``share`` of all calls fail, half of these after they
    took effect."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = Lock()
        self._random = random.Random(0)
        self.share = 0.0
        self.calls: list[str] = []

    def fail(self, share: float, seed: int = 0) -> None:
        """From now on fail this share of calls."""
        self._random, self.share = random.Random(seed), share

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        with self._lock:
            self.calls.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            fails, late = self._random.random() < self.share, self._random.random() < 0.5
            answer = (
                [] if fails and not late else list(self._app(environ, (lambda *_: None) if fails else start))
            )
            if fails:
                start("503 Service Unavailable", [("Content-Length", "0")])
                return []
            return answer


@contextmanager
def _serving() -> Iterator[tuple[Server, str]]:
    """The server and its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = Server()
    listener = make_server("127.0.0.1", 0, server, threaded=True)
    thread = Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    yield server, f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    thread.join()


def _use(address: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket, and let the environment name its server; returns its URL."""
    urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT")).close()
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket}/team/store"


@pytest.fixture(scope="session")
def object_server() -> Iterator[tuple[Server, str]]:
    with _serving() as both:
        yield both


@pytest.fixture
def server(object_server: tuple[Server, str]) -> Iterator[Server]:
    """The server, which answers every call unless it is told otherwise."""
    object_server[0].calls.clear()
    yield object_server[0]
    object_server[0].fail(0)


@pytest.fixture
def url(server: Server, object_server: tuple[Server, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in a new bucket."""
    return _use(object_server[1], f"test-{secrets.token_hex(4)}", monkeypatch)
