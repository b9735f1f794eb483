"""A provider on loopback: a real HTTP server that speaks the fine-tuning protocol, with faults on request.

A job's model is known by the first word of its training file's first answer, so that tests can see which file
became which model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.scoring.judges.server import Fault, Handler, Judging, serving

STATUSES = ["validating_files", "queued", "something_new", "running"]


@dataclass
class Provider(Judging):
    """What the server has seen, and how its jobs go."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: list[str] = field(default_factory=lambda: list(STATUSES))
    """What a job says before it ends, a look at a time."""
    end: str = "succeeded"
    error: dict[str, Any] | None = None
    file_status: list[str] = field(default_factory=lambda: ["uploaded", "processed"])
    file_error: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    creating: list[Fault] = field(default_factory=list)
    """Each is used after one new job was made, in place of the answer."""
    looking: list[Fault] = field(default_factory=list)
    """Each is used for one look at a job."""
    checkpoints: bool = True


class TuningHandler(Handler):
    judging: Provider

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith("/files"):
            return self._new_file(self.rfile.read(int(self.headers["content-length"])))
        if path.endswith("/fine_tuning/jobs"):
            return self._new_job(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        if path.endswith("/cancel"):
            job = self.judging.jobs[path.split("/")[-2]]
            job.update(status="cancelled", looks=[])
            return self.json(shown(job))
        return super().do_POST()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.split("/v1/")[-1].split("/")
        if parts[0] == "files":
            return self._file(parts[1]) if len(parts) > 1 else self.list_(self._files())
        if parts[:2] != ["fine_tuning", "jobs"]:
            return super().do_GET()
        if len(parts) == 2:
            wanted = parse_qs(url.query).get("metadata[puretune]", [None])[0]
            found = [job for job in self.judging.jobs.values() if job["metadata"]["puretune"] == wanted]
            return self.list_([shown(job) for job in reversed(found)])
        return self._job(self.judging.jobs[parts[2]], parts[3:])

    def list_(self, items: list[dict[str, Any]]) -> None:
        self.json({"object": "list", "data": items, "has_more": False})

    def _new_file(self, content: bytes) -> None:
        header = re.search(rb'filename="([^"]+)"', content)
        assert header is not None
        lines = [line.rstrip(b"\r") for line in content.split(b"\n") if line.startswith(b'{"messages"')]
        name = f"file-{len(self.judging.files)}"
        self.judging.files[name] = b"".join(line + b"\n" for line in lines)
        self.judging.names[name] = header[1].decode()
        self._file(name)

    def _file(self, name: str) -> None:
        states = self.judging.file_status
        status = states.pop(0) if len(states) > 1 else states[0]
        self.json(self._about(name, status))

    def _files(self) -> list[dict[str, Any]]:
        return [self._about(name, "processed") for name in self.judging.files]

    def _about(self, name: str, status: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "file",
            "bytes": len(self.judging.files[name]),
            "created_at": 1,
            "filename": self.judging.names[name],
            "purpose": "fine-tune",
            "status": status,
            "status_details": self.judging.file_error,
        }

    def _new_job(self, body: dict[str, Any]) -> None:
        name = f"ftjob-{len(self.judging.jobs)}"
        job = {**body, "id": name, "status": "validating_files", "looks": list(self.judging.looks)}
        self.judging.jobs[name] = job
        fault = self.judging.creating.pop(0) if self.judging.creating else None
        if fault is None or not fault(self, body):
            self.json(shown(job))

    def _job(self, job: dict[str, Any], rest: list[str]) -> None:
        if rest == ["events"]:
            return self.list_(self._events(job))
        if rest == ["checkpoints"]:
            return self.list_(self._kept(job))
        fault = self.judging.looking.pop(0) if self.judging.looking else None
        if fault is not None and fault(self, job):
            return None
        if job["looks"]:
            job["status"] = job["looks"].pop(0)
        elif job["status"] not in ("succeeded", "failed", "cancelled"):
            job.update(status=self.judging.end, error=self.judging.error)
            if job["status"] == "succeeded":
                job.update(fine_tuned_model=f"ft:{job['model']}:{self._word(job)}", trained_tokens=123)
        return self.json(shown(job))

    def _word(self, job: dict[str, Any]) -> str:
        first = json.loads(self.judging.files[job["training_file"]].splitlines()[0])
        return str(first["messages"][-1]["content"].split()[0])

    def _events(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        left = len(job["looks"])
        event = {"object": "fine_tuning.job.event", "level": "info", "created_at": 9 - left}
        data = {"step": 4 - left, "total_steps": 4, "train_loss": 0.5}
        return [{**event, "id": f"e{left}", "message": f"Step {4 - left}/4", "type": "metrics", "data": data}]

    def _kept(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        if not self.judging.checkpoints:
            return []
        epochs = job["method"]["supervised"]["hyperparameters"]["n_epochs"]
        return [
            {
                "object": "fine_tuning.job.checkpoint",
                "id": f"c{epoch}",
                "created_at": 1,
                "fine_tuning_job_id": job["id"],
                "fine_tuned_model_checkpoint": f"{job['fine_tuned_model']}:ckpt-step-{10 * epoch}",
                "step_number": 10 * epoch,
                "metrics": {"step": 10 * epoch, "train_loss": 1 / epoch},
            }
            for epoch in range(epochs, max(0, epochs - 3), -1)
        ]


def shown(job: dict[str, Any]) -> dict[str, Any]:
    """A job as the protocol shows it."""
    usual = {
        "object": "fine_tuning.job",
        "created_at": 1,
        "error": None,
        "fine_tuned_model": None,
        "finished_at": None,
        "hyperparameters": job["method"]["supervised"]["hyperparameters"],
        "organization_id": "org",
        "result_files": [],
        "trained_tokens": None,
        "validation_file": None,
    }
    return {**usual, **{key: value for key, value in job.items() if key != "looks"}}


@contextmanager
def providing(provider: Provider | None = None) -> Iterator[Provider]:
    """The server, on a free port of this machine, while the block runs."""
    made = provider or Provider()
    with serving(made, TuningHandler):
        yield made
