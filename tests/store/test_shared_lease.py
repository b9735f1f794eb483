"""A lease in a bucket: one driver at a time, and who died is replaced, by the bucket's clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time

import obstore
import pytest
from obstore.store import MemoryStore, from_url

from puretune.errors import EnvironmentFault
from puretune.store import key_of
from puretune.store._bucket import Bucket
from puretune.store._shared_lease import SharedLease
from tests.object_server import Server

PLAN = key_of({"plan": 1})
NAME = f"leases/{PLAN}.json"


def other_machine(bucket: Bucket) -> None:
    """Let the holder be on another machine, where its process cannot be seen."""
    found = bucket.get(NAME)
    assert found is not None
    noted = json.loads(found.content)
    bucket.put(NAME, json.dumps({**noted, "machine": "another", "host": "evil\x1b[31m", "pid": 7}).encode())


def test_a_second_driver_is_told_who_holds_the_plan(url: str) -> None:
    bucket = Bucket(url)
    with SharedLease(bucket, PLAN), pytest.raises(EnvironmentFault) as error, SharedLease(bucket, PLAN):
        pass
    assert f"process {os.getpid()} on " in str(error.value)
    assert "Wait until it is done, or stop it" in str(error.value)
    with SharedLease(bucket, PLAN), SharedLease(bucket, key_of({"plan": 2})):
        pass  # free again, and another plan is another lease


def test_a_strange_name_is_shown_not_sent(url: str) -> None:
    bucket = Bucket(url)
    with SharedLease(bucket, PLAN, beat=60):
        other_machine(bucket)
        with pytest.raises(EnvironmentFault, match=r"process 7 on evil\\x1b"), SharedLease(bucket, PLAN):
            pass


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"{}", b'{"pid": "x", "host": 1}'])
def test_a_lease_that_cannot_be_read_is_still_a_lease_until_it_is_old(url: str, content: bytes) -> None:
    bucket = Bucket(url)
    bucket.put(NAME, content)
    with pytest.raises(EnvironmentFault, match="works on this study"), SharedLease(bucket, PLAN):
        pass
    with SharedLease(bucket, PLAN, patience=-1):
        pass


def test_without_heartbeats_another_takes_over_and_the_first_is_told(url: str) -> None:
    bucket = Bucket(url)
    with SharedLease(bucket, PLAN, beat=0.2) as first:
        other_machine(bucket)
        with SharedLease(bucket, PLAN, patience=-1):
            deadline = time.monotonic() + 20
            while not first._lost and time.monotonic() < deadline:
                time.sleep(0.05)
            with pytest.raises(EnvironmentFault, match="was taken over by process"):
                first.check()
            found = bucket.get(NAME)
        assert found is not None
        assert found.size


def test_heartbeats_keep_a_lease(url: str) -> None:
    bucket = Bucket(url)
    with SharedLease(bucket, PLAN, beat=0.1) as first:
        before = bucket.head(NAME)
        time.sleep(2.5)
        after = bucket.head(NAME)
        first.check()
    assert before is not None
    assert after is not None
    assert after.modified > before.modified


def test_a_holder_that_was_killed_here_is_replaced_at_once(url: str) -> None:
    code = f"""
        import time
        from puretune.store._bucket import Bucket
        from puretune.store._shared_lease import SharedLease
        with SharedLease(Bucket({url!r}), {PLAN!r}):
            print("held", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(EnvironmentFault, match=f"process {process.pid} on"), SharedLease(Bucket(url), PLAN):
        pass
    process.kill()
    process.communicate()
    with SharedLease(Bucket(url), PLAN) as mine:
        mine.check()


def test_a_clock_of_this_machine_that_jumps_changes_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(url)
    with SharedLease(bucket, PLAN):
        other_machine(bucket)
        really = time.time
        monkeypatch.setattr(time, "time", lambda: really() + 10**6)
        with pytest.raises(EnvironmentFault, match="works on this study"), SharedLease(bucket, PLAN):
            pass


def test_a_lease_survives_a_store_that_fails_one_call_in_five(url: str, server: Server) -> None:
    server.fail(0.2, seed=3)
    bucket = Bucket(url, delays=(0.01,) * 10)
    for _ in range(10):
        with SharedLease(bucket, PLAN, beat=0.02) as lease:
            time.sleep(0.1)
            lease.check()
    server.fail(0)
    assert not [found for page in obstore.list(from_url(url)) for found in page if found["path"] != NAME]


def test_a_store_that_is_gone_at_the_end_hides_no_error(url: str, server: Server) -> None:
    def run() -> None:
        with SharedLease(Bucket(url, delays=(0.01,)), PLAN):
            server.fail(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()


def test_of_many_who_try_one_gets_it() -> None:
    bucket = Bucket("s3://memory", MemoryStore())
    got = []
    leases = [SharedLease(bucket, PLAN) for _ in range(5)]
    for lease in leases:
        try:
            got.append(lease.__enter__())
        except EnvironmentFault:
            continue
    assert len(got) == 1
    got[0].__exit__(None, None, None)
