"""The ledger: kept reply by reply, paid for once, whatever is killed, shared or broken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import EnvironmentFault
from puretune.scoring.judges import Judge, Judgement, Ledger, flips, judge_spec
from puretune.scoring.judges._judgement import to_line

from .conftest import MakeJudge, harms, pairs
from .server import Judging

# A process of its own judges answers 0 to N - 1 and says so.
_JUDGES = """
import sys
from puretune.scoring.judges import Judge, judge_spec
from tests.scoring.judges.conftest import harms
url, number = sys.argv[1], int(sys.argv[2])
judge = Judge(judge_spec({"model": "judge", "base_url": url, "concurrency": 2}))
print(len(judge.score(harms(*[1 + n % 5 for n in range(number)]))))
"""


def start(url: str, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _JUDGES, url, str(number)], stdout=subprocess.PIPE, text=True, cwd=_ROOT
    )


_ROOT = Path(__file__).parents[3]


def judgement(ask: str, **more: Any) -> Judgement:
    return Judgement(**{"ask": ask, "reported": "m", "score": 5, "parse": "ok", "when": "2026", **more})


def slowly(server: Judging, seconds: float, then: Callable[[], None] = lambda: None) -> None:
    def fault(handler: Any, body: Any) -> bool:
        threading.Event().wait(seconds)
        then()
        return False

    server.always = fault


def test_what_is_put_is_found_with_its_words(tmp_path: Path) -> None:
    first = judgement("a", replies=("\ud83d odd \u202e", "#thescore: 5"), facts={"endpoint": "e"}, reason="ü")
    with Ledger(tmp_path) as ledger:
        ledger.put(first)
        ledger.put(judgement("a", when="2027", reported="n"))
        assert [one.reported for one in ledger.find(["a"])["a"]] == ["m", "n"]
    with Ledger(tmp_path) as ledger:
        assert ledger.find(["a", "b"])["a"][0] == first
        assert "b" not in ledger.find(["a", "b"])


def test_identical_answers_are_judged_once(make: MakeJudge, server: Judging) -> None:
    items = [*harms(5, 4), *harms(5, 4)]
    assert [v.raw["score"] for v in make().score(items)] == [5, 4, 5, 4]
    assert server.asked == 2


def test_nothing_is_asked_twice_across_runs_and_settings_that_do_not_matter(
    make: MakeJudge, server: Judging
) -> None:
    make().score(harms(5, 4))
    make(concurrency=1, name="another", price={"input": 1, "output": 1}).score(harms(5, 4))
    assert server.asked == 2
    for settings in ({"model": "b"}, {"temperature": 0.1}, {"extra": {"seed": 7}}):
        asked = server.asked
        make(**settings).score(harms(5, 4))
        assert server.asked == asked + 2


def test_a_killed_process_loses_only_calls_in_flight(server: Judging, ledger: Path, make: MakeJudge) -> None:
    process = start(server.url, 40)
    slowly(server, 0.01, lambda: process.send_signal(signal.SIGKILL) if server.asked > 12 else None)
    assert process.wait(60) == -signal.SIGKILL
    with Ledger(ledger) as opened:
        kept = len(opened._run("SELECT * FROM judgements"))
        assert opened.damaged == []
    assert server.asked - 2 - 1 <= kept <= server.asked
    asked, server.always = server.asked, None
    assert len(make().score(harms(*[1 + n % 5 for n in range(40)]))) == 40
    assert server.asked == asked + 40 - kept


def test_two_processes_at_once_pay_once(server: Judging, ledger: Path) -> None:
    slowly(server, 0.01)
    processes = [start(server.url, 30) for _ in range(2)]
    assert [process.communicate(timeout=600)[0].strip() for process in processes] == ["30", "30"]
    assert server.asked == 30


def test_a_claim_of_the_living_holds_and_one_of_the_dead_does_not(tmp_path: Path) -> None:
    with Ledger(tmp_path) as mine, Ledger(tmp_path) as other:
        assert mine.claim("a") == "mine"
        assert other.claim("a") == "elsewhere"
        mine.put(judgement("a"))
        assert other.claim("a") == "done"
        assert other.claim("b") == "mine"
        other.release("b")
        assert mine.claim("b") == "mine"
    child = os.fork()
    if child == 0:
        dead = Ledger(tmp_path)
        dead.claim("c")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with Ledger(tmp_path) as mine:
        assert mine.claim("c") == "mine"


def test_the_index_is_made_again_from_the_segments(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for ask in "abc":
            ledger.put(judgement(ask))
    (tmp_path / "index.sqlite").unlink()
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abc")) == set("abc")
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 1000)
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abc")) == set("abc")


def test_torn_and_altered_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for ask in "abc":
            ledger.put(judgement(ask))
    (segment,) = (tmp_path / "segments").glob("*.jsonl")
    first, second, third = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(first + second.replace(b'"score":5', b'"score":1') + third[:-20])
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abc")) == {"a"}
        assert len(ledger.damaged) == 1, "the torn line was never finished"
        assert ledger.damaged[0] == f"{segment}, byte {len(first):,}"
    (tmp_path / "index.sqlite").unlink()
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abc")) == {"a"}
        assert len(ledger.damaged) == 1


def edited(tmp_path: Path, edit: Callable[[list[bytes]], list[bytes]], touch: bool = True) -> Path:
    """A ledger of the requests a, b and c whose segment somebody has edited."""
    with Ledger(tmp_path) as ledger:
        for ask in "abc":
            ledger.put(judgement(ask))
    (segment,) = (tmp_path / "segments").glob("*.jsonl")
    before = segment.stat()
    segment.write_bytes(b"".join(edit(segment.read_bytes().splitlines(keepends=True))))
    os.utime(segment, ns=(before.st_atime_ns, before.st_mtime_ns + (10**9 if touch else 0)))
    return segment


@pytest.mark.parametrize("touch", [True, False])
@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: [lines[2], lines[0], lines[1]],
        lambda lines: lines[::-1],
        lambda lines: [b"\n", *lines],
        lambda lines: [b"# a note\n", *lines, *lines],
        lambda lines: [b"[" * 100_000 + b"\n", *lines],
        lambda lines: [b'{"sha256": 1, "judgement": [1]}\n', b"\xff\n", b"null\n", *lines],
    ],
)
def test_a_judgement_counts_wherever_in_its_segment_it_is(tmp_path: Path, edit: Any, touch: bool) -> None:
    edited(tmp_path, edit, touch)
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abc")) == set("abc")
    with Ledger(tmp_path) as ledger:
        assert ledger.claim("b") == "done"


def test_a_damaged_line_takes_no_other_with_it(tmp_path: Path) -> None:
    edited(tmp_path, lambda lines: [lines[0], lines[1].replace(b'"score":5', b'"score":1'), lines[2]], False)
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abc")) == {"a", "c"}
        assert len(ledger.damaged) == 1
        assert ledger.claim("b") == "mine"


def test_a_line_of_other_types_with_a_valid_digest_does_not_count(tmp_path: Path) -> None:
    def forged(lines: list[bytes]) -> list[bytes]:
        wrong: Any = [
            {"when": 3},
            {"input_tokens": 10**400},
            {"parse": "fine"},
            {"facts": [1]},
        ]
        return [*lines, *(to_line(judgement("d", **changes)) for changes in wrong)]

    edited(tmp_path, forged)
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abcd")) == set("abc")
        assert len(ledger.damaged) == 4


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_in_the_place_of_a_segment_is_named(tmp_path: Path, make: Any) -> None:
    edited(tmp_path, lambda lines: lines)
    make(tmp_path / "segments" / "other.jsonl")
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abc")) == set("abc")
        assert "other.jsonl (not a file)" in ledger.damaged[0]


def test_a_directory_in_the_place_of_the_index_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").mkdir(parents=True)
    with pytest.raises(
        EnvironmentFault, match=r"index\.sqlite: .* Remove it \(it is rebuilt, and no judgement is lost"
    ):
        Ledger(tmp_path)


@pytest.mark.parametrize("place", [100, 3000, 5000])
def test_an_index_that_is_damaged_anywhere_is_made_again(tmp_path: Path, place: int) -> None:
    edited(tmp_path, lambda lines: lines)
    index = tmp_path / "index.sqlite"
    content = bytearray(index.read_bytes())
    content[place : place + 2000] = b"\xa5" * len(content[place : place + 2000])
    index.write_bytes(content)
    with Ledger(tmp_path) as ledger:
        assert set(ledger.find("abc")) == set("abc")


def test_a_line_that_is_still_being_written_is_read_later(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.put(judgement("a"))
    (segment,) = (tmp_path / "segments").glob("*.jsonl")
    whole = segment.read_bytes()
    (tmp_path / "index.sqlite").unlink()
    segment.write_bytes(whole[:50])
    with Ledger(tmp_path) as ledger:
        assert ledger.find(["a"]) == {}
        segment.write_bytes(whole)
        ledger.refresh()
        assert set(ledger.find(["a"])) == {"a"}


def test_neither_query_nor_answer_is_in_it_in_words(make: MakeJudge, server: Judging, ledger: Path) -> None:
    server.reply = lambda user: "#thescore: 5"
    make().score(pairs("a very particular answer", query="a very particular query"))
    kept = b"".join(path.read_bytes() for path in ledger.rglob("*") if path.is_file())
    assert b"particular" not in kept
    line = json.loads(next(ledger.glob("segments/*.jsonl")).read_text())["judgement"]
    assert (line["reported"], line["facts"]["model"], line["score"]) == ("judge-2026", "judge", 5)
    assert line["input_tokens"] > 0


def test_a_ledger_that_cannot_be_written_is_named(tmp_path: Path, server: Judging) -> None:
    (tmp_path / "file").write_text("")
    judge = Judge(judge_spec({"model": "judge", "base_url": server.url}), ledger=tmp_path / "file" / "ledger")
    with pytest.raises(EnvironmentFault, match=r"cannot write the ledger .*PURETUNE_LEDGER"):
        judge.score(harms(5))
    assert server.asked == 0


def test_a_seeded_share_is_judged_again_and_flips_are_counted(make: MakeJudge, server: Judging) -> None:
    items = harms(*[5] * 60)
    replies = iter(["#thescore: 5"] * 60 + ["#thescore: 4", "#thescore: none"] * 60)
    first = make(recheck=0, concurrency=1)
    server.reply = lambda user: next(replies)
    first.score(items)
    verdicts = make(recheck=0.2, concurrency=1, attempts=1).score(items)
    rechecked = [v.raw["judgement"] for v in verdicts if "recheck" in v.raw]
    assert 4 <= len(rechecked) <= 24
    assert server.asked == 60 + len(rechecked)
    found = flips(verdicts)
    assert (found.rechecked, found.unparsed) == (-(-len(rechecked) // 2), len(rechecked) // 2)
    assert (found.score, found.asr, found.rate) == (found.rechecked, found.rechecked, 1.0)
    again = make(recheck=0.2, attempts=1).score(items)
    assert [v.raw["judgement"] for v in again if "recheck" in v.raw] == rechecked
    assert server.asked == 60 + len(rechecked)
