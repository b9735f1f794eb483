"""Models on the hub, asked for through its real client: a small server on this machine stands for the hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from puretune.models import ModelSpec, fingerprint

_COMMIT = "a" * 40


class _Hub(BaseHTTPRequestHandler):
    """Speaks as much of the hub's protocol as its client asks for."""

    files: Path
    asked: list[str]
    error: str | None = None
    status = 403
    cut = False
    """Whether the connection breaks in the middle of the weights."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, body: bool) -> None:
        path = urlparse(self.path).path
        self.asked.append(path)
        if self.error:
            self._send(self.status, b"{}", {"X-Error-Code": self.error, "X-Error-Message": "no"}, body)
        elif path.startswith("/api/models/some/model/tree/"):
            self._send(
                200, json.dumps([self._entry(file, "path") for file in self._all()]).encode(), {}, body
            )
        elif path.startswith("/api/models/some/model"):
            siblings = [self._entry(file, "rfilename") for file in self._all()]
            info = {"id": "some/model", "sha": _COMMIT, "siblings": siblings}
            self._send(200, json.dumps(info).encode(), {}, body)
        elif path.startswith("/some/model/resolve/"):
            content = (self.files / path.rpartition("/")[2]).read_bytes()
            self._send(200, content, {"ETag": f'"{self._etag(content)}"'}, body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)

    def _all(self) -> list[Path]:
        return sorted(path for path in self.files.iterdir() if path.is_file())

    def _etag(self, content: bytes) -> str:
        return (
            hashlib.sha256(content).hexdigest()
            if len(content) > 50_000
            else hashlib.sha1(content).hexdigest()
        )

    def _entry(self, file: Path, name: str) -> dict[str, Any]:
        content = file.read_bytes()
        entry = {
            "type": "file",
            name: file.name,
            "size": len(content),
            "oid": hashlib.sha1(content).hexdigest(),
        }
        if file.suffix == ".safetensors":
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 130}
        return entry

    def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", _COMMIT)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            half = self.cut and len(content) > 50_000
            self.wfile.write(content[: len(content) // 2] if half else content)
            self.close_connection = True


@pytest.fixture
def hub(llama_path: Path) -> Iterator[Any]:
    class Hub(_Hub):
        files = llama_path
        asked: list[str] = []  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hub.address = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    yield Hub
    server.shutdown()
    server.server_close()


def run(hub: Any, home: Path, code: str) -> str:
    """The last line that ``code`` prints in a process whose hub is the server."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "NO_PROXY": "127.0.0.1",
    }
    setting = "from puretune.errors import *\nfrom puretune.models import *\nspec = ModelSpec('some/model')\n"
    done = subprocess.run(
        [sys.executable, "-c", setting + code], env=environment, capture_output=True, text=True, timeout=6000
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_a_fingerprint_needs_no_weights_and_is_that_of_the_content(
    hub: Any, llama_path: Path, tmp_path: Path
) -> None:
    expected = fingerprint(ModelSpec(str(llama_path)))
    assert run(hub, tmp_path, "print(fingerprint(spec))") == expected
    assert not [path for path in hub.asked if path.endswith("/model.safetensors")]
    assert run(hub, tmp_path, "resolve_model_path(spec)\nprint(fingerprint(spec))") == expected
    assert [path for path in hub.asked if path.endswith("/model.safetensors")]


def test_a_downloaded_model_loads(hub: Any, tmp_path: Path) -> None:
    assert run(hub, tmp_path, "print(load_base(spec).context_length)") == "256"


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, "GatedRepo", r"EnvironmentFault .*is gated.*log in \(`hf auth login`, or set HF_TOKEN\)"),
        (403, "GatedRepo", "EnvironmentFault .*is gated: accept its licence"),
        (401, "RepoNotFound", "InputError .*Check the spelling"),
    ],
)
def test_a_model_that_the_hub_does_not_give_is_one_clear_message(
    status: int, error: str, message: str, hub: Any, tmp_path: Path
) -> None:
    import re

    hub.status, hub.error = status, error
    code = "try: resolve_model_path(spec)\nexcept PuretuneError as error: print(type(error).__name__, error)"
    assert re.match(message, run(hub, tmp_path, code))


def test_an_interrupted_download_is_one_clear_fault_and_the_same_command_goes_on(
    hub: Any, llama_path: Path, tmp_path: Path
) -> None:
    code = "try: print(resolve_model_path(spec).name)\n"
    code += "except PuretuneError as error: print(type(error).__name__, error)"
    hub.cut = True
    said = run(hub, tmp_path, code)
    assert said.startswith(
        "EnvironmentFault model 'some/model' is not on this machine and cannot be downloaded"
    )
    assert "run the same command again" in said
    assert not [path for path in tmp_path.rglob("*.safetensors") if "snapshots" in path.parts]
    hub.cut = False
    assert run(hub, tmp_path, code) == _COMMIT
    weights = next(path for path in tmp_path.rglob("*.safetensors") if "snapshots" in path.parts)
    assert weights.read_bytes() == (llama_path / weights.name).read_bytes()
