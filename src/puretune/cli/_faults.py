"""The last net: what any exception means for the user, as one line and an exit code.

Rooms turn what they expect into PuretuneErrors; what arrives here otherwise is the machine's refusal (no
memory, no space) or a fault of puretune, whose traceback goes to a file that the line names.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from pathlib import Path

from puretune.errors import EnvironmentFault, PuretuneError
from puretune.memory import is_shortage
from puretune.visible import one_line, visible

INTERNAL = 70
"""The exit code of an error in puretune itself (EX_SOFTWARE)."""


def explained(error: BaseException) -> tuple[str, int]:
    """The message and the exit code of an error."""
    if isinstance(error, PuretuneError):
        return visible(error), error.exit_code
    if is_shortage(error):
        advice = "Free some, lower the batch size or the rank, or use a smaller model. Finished work is kept."
        return f"this machine does not have enough memory ({_kind(error)}). {advice}", _ENVIRONMENT
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        place = f" to {one_line(error.filename)}" if error.filename else ""
        return f"cannot write{place}: {error.strerror}. Finished work is kept.", _ENVIRONMENT
    return f"{_kind(error)}. This is a fault in puretune; {_kept(error)}.", INTERNAL


_ENVIRONMENT = EnvironmentFault.exit_code


def silence(stream: object) -> None:
    """Send what is left in a stream that nobody can write to nowhere, so that Python's exit is quiet."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return


def _kind(error: BaseException) -> str:
    text = one_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _kept(error: BaseException) -> str:
    """Where the traceback is."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="puretune-error-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            file.write(f"{sys.argv!r}\n\n{text}")
            return f"please report it with {visible(Path(file.name))}"
    except OSError:
        return "please report the command"
