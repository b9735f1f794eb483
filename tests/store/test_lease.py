"""One process at a time on a run directory; a killed holder frees it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from puretune.errors import EnvironmentFault
from puretune.store import lease

_HOLDER = """
import sys, time
from pathlib import Path
from puretune.store import lease
with lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_who_holds_it_and_a_kill_frees_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(EnvironmentFault, match=f"process {holder.pid} on {socket.gethostname()}"),
        lease(tmp_path),
    ):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with lease(tmp_path):
        pass


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with lease(tmp_path), pytest.raises(EnvironmentFault, match="in use"), lease(tmp_path):
        pass


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="work"), lease(tmp_path):
        raise ValueError("work")
    with lease(tmp_path):
        pass


def test_left_over_temporary_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".results.json.abcdef-1-0a0a.tmp").write_text("half")
    with lease(tmp_path):
        assert not list(tmp_path.glob(".*.tmp"))


def test_a_directory_that_cannot_be_made_is_an_environment_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot write"), lease(tmp_path / "file" / "run"):
        pass
