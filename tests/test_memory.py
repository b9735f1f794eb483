"""How much memory is left, by what the system says, and what becomes of running out of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from puretune import memory
from puretune.errors import EnvironmentFault


def group(root: Path, **files: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / f"memory.{name}").write_text(text)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_every_way_of_running_out_is_one_fault(error: Exception) -> None:
    said = pytest.raises(EnvironmentFault, match=r"not enough memory to load it.*Use a smaller one\.")
    with said, memory.enough("load it", "Use a smaller one."):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory.enough("load it", "Help."):
        raise RuntimeError("shapes differ")


def test_what_cannot_fit_is_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 2_000_000_000)
    memory.require(2_000_000_000, "the model", "Help.")
    with pytest.raises(EnvironmentFault, match=r"model needs at least 34\.9 GB.*may take 2\.0 GB\. Help\."):
        memory.require(34_900_000_000, "the model", "Help.")


def test_the_tightest_group_counts_without_what_it_can_give_up(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    group(tmp_path / "root", max="max", current="900")
    group(tmp_path / "root/outer", max="1000", current="600", stat="anon 1\ninactive_file 100\n")
    group(tmp_path / "root/outer/inner", max="max", current="500")
    assert memory._cgroup(tmp_path / "root", own) == 500


def test_version_1_groups_count_too(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("3:cpu:/x\n2:memory:/job\n")
    group(tmp_path / "root/memory", limit_in_bytes=str(2**63 - 4096), usage_in_bytes="5")
    group(tmp_path / "root/memory/job", limit_in_bytes="700", usage_in_bytes="200")
    assert memory._cgroup(tmp_path / "root", own) == 500


def test_the_limit_of_the_address_space_counts() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))\n"
        "from puretune import memory; print(memory.available())"
    )
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0 < int(left) < 10**9


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (512 * 10**6, "512 MB")]
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert memory.readable(size) == text
