"""Processes end as they should: on SIGTERM as on Ctrl-C, and never after their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_STOPPED = """
import sys, time
from puretune.processes import stop_cleanly
stop_cleanly()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt as stop:
    print("cleaned", flush=True)
    time.sleep(1)  # a second signal comes here
    sys.exit(stop.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_ctrl_c_does_and_a_second_one_does_not_interrupt_that(number: int) -> None:
    def heard() -> None:  # whoever starts the tests with nohup makes every child deaf to SIGHUP
        signal.signal(number, signal.SIG_DFL)

    command = [sys.executable, "-c", _STOPPED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "cleaned\n"
        process.send_signal(number)
        assert process.wait() == 128 + number


def test_what_the_parent_ignores_stays_ignored() -> None:
    code = """
import os, signal
from puretune.processes import stop_cleanly
signal.signal(signal.SIGHUP, signal.SIG_IGN)
stop_cleanly()
os.kill(os.getpid(), signal.SIGHUP)
print("still here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "still here\n"


_WITH_CHILD = """
import os, time
from puretune.processes import end_with_parent
here = os.getpid()
child = os.fork()
if child == 0:
    end_with_parent(here)
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_child_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _WITH_CHILD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        for _ in range(100):
            if _ended(child):
                return
            time.sleep(0.1)
    pytest.fail("the child outlived its parent")


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    code = "from puretune.processes import end_with_parent; end_with_parent(1); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "") or os.getpid() == 1


def _ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet waited for by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
