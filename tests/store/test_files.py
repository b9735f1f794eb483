"""Publication: whole or not at all, even when the process is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.errors import EnvironmentFault, InputError
from puretune.store import json_lines, publish_directory, write_bytes, write_text

_ENDLESS_WRITER = """
import sys
from pathlib import Path
from puretune.store import Store, write_text
root = Path(sys.argv[1])
store = Store(root / "store")
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_text(root / "page.txt", f"{number}\\n" * 20000)
    store.put_lines("answers", f"{number:064d}", [{"row": row, "text": "x" * 200} for row in range(200)])
"""


def test_a_text_is_published_with_its_directories(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b.txt", "Größe\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "Größe\n".encode()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "f", b"long old content")
    write_bytes(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"


def test_a_directory_is_published_and_replaced(tmp_path: Path) -> None:
    for text in ("one", "two"):
        temporary = tmp_path / "made"
        temporary.mkdir()
        (temporary / "file").write_text(text)
        publish_directory(temporary, tmp_path / "final")
        assert (tmp_path / "final" / "file").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_a_place_that_cannot_be_written_is_an_environment_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentFault, match=r"cannot write .*file"):
        write_text(tmp_path / "file" / "below.txt", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_directory_is_an_environment_fault(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EnvironmentFault, match="cannot write"):
        write_text(tmp_path / "x.txt", "x")


def test_a_pipe_or_a_device_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to(os.devnull)
    for name in ("pipe", "nowhere"):
        with pytest.raises(InputError, match=f"{name}: a device or a pipe"):
            write_text(tmp_path / name, "text")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert (tmp_path / "nowhere").is_symlink()


def test_kill_in_the_middle_of_writes_leaves_nothing_half_written(tmp_path: Path) -> None:
    from puretune.store import Store

    for delay in (0.0, 0.013, 0.031, 0.057):
        writer = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS_WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        store = Store(tmp_path / "store")
        for manifest in store.root.glob("*/*/*/manifest.json"):
            kept = store.get("answers", manifest.parent.name)
            assert kept is not None
            assert len(kept.lines()) == 200
        if (tmp_path / "page.txt").exists():
            assert len((tmp_path / "page.txt").read_text().split("\n")) == 20001
        assert not list(store.root.glob("*/*/.*"))


@given(st.text())
def test_json_lines_have_one_line_per_row_for_every_reader(text: str) -> None:
    written = json_lines([{"text": text}, {"text": "x"}])
    assert [json.loads(line)["text"] for line in written.splitlines()] == [text, "x"]
    assert [json.loads(line)["text"] for line in written.split("\n")[:-1]] == [text, "x"]
