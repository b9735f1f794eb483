"""How much memory this process may still take, and what is said when that is too little.

Sizes are bytes. Nothing here is imported beyond the standard library, so that it works where little is left.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from puretune.errors import EnvironmentFault

_SHORTAGE = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|out of memory"
    r"|failed to map segment|std::bad_alloc|bad allocation|unable to allocate|mmap.* failed",
    re.IGNORECASE,
)
"""How torch, NumPy, the loader of shared libraries and the system say that memory is short."""
_UNLIMITED = 1 << 60


def available() -> int | None:
    """Bytes that this process may still take: the least of the machine's free memory, ``ulimit -v`` and the
    cgroup's limit. None if the system does not say (outside Linux).
    """
    known = [one for one in (_machine(), _address_space(), _cgroup()) if one is not None]
    return max(0, min(known)) if known else None


def require(needed: int, what: str, advice: str) -> None:
    """EnvironmentFault if ``what`` needs more bytes than this process may take; ``advice``: what to do."""
    free = available()
    if free is not None and needed > free:
        raise EnvironmentFault(
            f"{what} needs at least {readable(needed)} of memory, and this process may take "
            f"{readable(free)}. {advice}"
        )


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory is short, whichever library raised it and whatever its class is."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if type(error).__name__ == "OutOfMemoryError":  # torch's, without importing it
        return True
    return isinstance(error, RuntimeError | ImportError | OSError | ValueError) and bool(
        _SHORTAGE.search(str(error))
    )


def shortage(what: str, advice: str) -> EnvironmentFault:
    """The one message for memory that ran out while something was done."""
    free = available()
    left = f" (this process may take {readable(free)} more)" if free is not None else ""
    return EnvironmentFault(f"not enough memory to {what}{left}. {advice}")


@contextmanager
def enough(what: str, advice: str) -> Iterator[None]:
    """The block needs memory; every way of running out of it becomes one EnvironmentFault."""
    try:
        yield
    except Exception as error:
        if not is_shortage(error):
            raise
        raise shortage(what, advice) from error


def readable(size: int) -> str:
    """A number of bytes for people: ``34.9 GB``."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB", "EB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"


def _machine() -> int | None:
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable")


def _address_space() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _kilobytes(Path("/proc/self/status"), "VmSize")
    return None if soft == resource.RLIM_INFINITY or used is None else soft - used


def _kilobytes(file: Path, name: str) -> int | None:
    with suppress(OSError):
        found = re.search(rf"^{name}:\s*(\d+) kB", file.read_text(), re.MULTILINE)
        return int(found.group(1)) * 1024 if found else None
    return None


def _cgroup(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """What the tightest memory limit of this process's control groups (version 1 or 2) leaves."""
    left = []
    for directory in _cgroups(root, own):
        limit = _number(directory / "memory.max", directory / "memory.limit_in_bytes")
        used = _number(directory / "memory.current", directory / "memory.usage_in_bytes")
        if limit is not None and limit < _UNLIMITED and used is not None:
            left.append(limit - used + _reclaimable(directory))
    return min(left, default=None)


def _cgroups(root: Path, own: Path) -> Iterator[Path]:
    """The directories of this process's groups and of those around them; a container sees its own as the
    root."""
    yield from (root, root / "memory")
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            place = (root / "memory" if controllers else root) / path.lstrip("/")
            while place not in (root, root / "memory", place.parent):
                yield place
                place = place.parent


def _number(*files: Path) -> int | None:
    for file in files:
        with suppress(OSError, ValueError):
            return int(file.read_text())
    return None


def _reclaimable(directory: Path) -> int:
    """Pages of files, which the group gives up before it runs out."""
    with suppress(OSError):
        found = re.search(r"^(?:total_)?inactive_file (\d+)", (directory / "memory.stat").read_text(), re.M)
        return int(found.group(1)) if found else 0
    return 0
