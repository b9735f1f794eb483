"""The tutorial's commands, taken from the page, from rows to a served model."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tutorial.md"


def commands() -> list[str]:
    """The blocks that the page says are run."""
    return re.findall(r"<!-- run -->\n```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_page_works_when_pasted(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    blocks = commands()
    assert len(blocks) == 6
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = "set -em\n" + "\n".join(blocks).replace("8080", port)
    here = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "take the " in done.stdout.splitlines()[-1], "the served model answers as its rows do"
    assert (tmp_path / "audit.xml").is_file()
