"""Processes that end as they should: on SIGTERM as on Ctrl-C, and never after their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from types import FrameType

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: whatever ends cleanly on Ctrl-C ends cleanly on it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.exit_code = 128 + signal_number
        """What a shell reports of a process that the signal ended."""


def stop_cleanly() -> None:
    """From now on SIGTERM and SIGHUP raise ``Stopped``, once; one that the parent ignores stays ignored.

    A signal that comes again while the process ends has no effect: `timeout` sends two.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends (Linux); end now where ``parent`` has already.

    Call it in the child first of all, with the parent's id from before the fork.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Stopped(number)
