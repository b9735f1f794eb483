"""One process at a time on a run directory; a killed holder frees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from puretune.errors import EnvironmentFault
from puretune.store import lease, temporary_name

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


def test_what_killed_processes_left_is_removed_and_nothing_of_the_users(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    fresh = temporary_name(tmp_path / "results.json")
    ours = fresh.with_name(fresh.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-"))
    ours.write_text("half")
    fresh.write_text("of a process that lives")
    for name in (".notes.tmp", ".results.json.abcdef-1-0a0a.tmp", ".mine.puretune-x.tmp"):
        (tmp_path / name).write_text("precious")
    (tmp_path / ".mine.tmp").mkdir()
    with lease(tmp_path):
        left = {path.name for path in tmp_path.glob(".*.tmp")}
    assert left == {
        ".notes.tmp", ".mine.tmp", ".results.json.abcdef-1-0a0a.tmp", ".mine.puretune-x.tmp", fresh.name
    }  # fmt: skip


def test_a_directory_that_moves_is_noticed(tmp_path: Path) -> None:
    with lease(tmp_path / "run") as held:
        held.check()
        (tmp_path / "run").rename(tmp_path / "moved")
        with pytest.raises(EnvironmentFault, match="was moved or removed"):
            held.check()
        (tmp_path / "run").mkdir()
        with pytest.raises(EnvironmentFault, match="was moved or removed"):
            held.check()


_HOLDER_WITH_CHILD = """
import os, sys, time
from pathlib import Path
from puretune.store import lease
with lease(Path(sys.argv[1])):
    if os.fork() == 0:
        time.sleep(2)  # holds the lock a little longer than its parent
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_holders_child_is_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER_WITH_CHILD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
        with lease(tmp_path):
            pass


@pytest.mark.parametrize("content", ["[" * 200_000, "null", '{"pid": "x"}', '{"pid": 1e300, "host": 3}'])
def test_an_unreadable_note_of_the_holder_is_no_obstacle(tmp_path: Path, content: str) -> None:
    with lease(tmp_path):
        (tmp_path / ".lock-holder.json").write_text(content)
        with pytest.raises(EnvironmentFault, match="in use by"), lease(tmp_path):
            pass


def test_a_directory_that_cannot_be_made_is_an_environment_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot write"), lease(tmp_path / "file" / "run"):
        pass
