"""A store in a bucket that fails or is out of reach, or whose publisher is killed: nothing half or twice."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.store import key_of
from puretune.store._bucket import Bucket
from puretune.store._shared import SharedStore
from tests.object_server import SECRET, Server
from tests.store.test_shared import KEY, at, names


@pytest.mark.parametrize("seed", range(3))
def test_a_store_that_fails_one_call_in_twenty_publishes_everything_once(
    seed: int, tmp_path: Path, url: str, server: Server
) -> None:
    server.fail(0.05, seed)
    stores = [at(tmp_path / str(n), url) for n in range(2)]
    keys = [key_of({"number": n}) for n in range(15)]
    with ThreadPoolExecutor(4) as threads:
        for n, store in enumerate(stores):  # both publish everything
            made = [
                threads.submit(store.put_lines, "answers", key, [{"key": key}], {"by": n}) for key in keys
            ]
            assert {one.result().about["by"] for one in made} == {0}
    third = at(tmp_path / "third", url)
    for key in keys:
        assert third.has("answers", key)
        kept = third.get("answers", key)
        assert kept is not None
        assert kept.lines() == [{"key": key}]
        assert kept.about == {"by": 0}
    server.fail(0)
    assert len(names(url, "objects")) == len(keys)
    assert not names(url, "damaged")


def test_a_store_that_never_answers_is_an_environment_fault(tmp_path: Path, url: str, server: Server) -> None:
    server.fail(1)
    with pytest.raises(EnvironmentFault, match=r"cannot read objects.*503.*the same command resumes"):
        at(tmp_path, url).put_json("matrix", KEY, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Check the network and the endpoint"),
        ({"AWS_ALLOW_HTTP": "false"}, "AWS_ALLOW_HTTP=true"),
    ],
)
def test_what_cannot_be_reached_says_what_to_do(
    change: dict[str, str], said: str, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EnvironmentFault, match=said) as error:
        at(tmp_path, url).has("matrix", KEY)
    assert url in str(error.value)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("endpoint", ["", "nonsense", "http://", "ftp://host", "http:// x"])
def test_an_endpoint_that_is_no_address_is_an_input_error(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(InputError, match=r"AWS_ENDPOINT_URL .*: not an address"):
        Bucket("s3://bucket")


def test_keys_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(EnvironmentFault, match="set AWS_ACCESS_KEY_ID and AWS_SECRET") as error:
        Bucket("s3://bucket")
    assert SECRET not in str(error.value)


def test_a_bucket_that_does_not_exist_is_named_at_once(tmp_path: Path, url: str) -> None:
    store = SharedStore(tmp_path, Bucket("s3://no-such-bucket/x"))
    started = time.monotonic()
    for call in (store.has, store.get, lambda kind, key: store.put_json(kind, key, 1)):
        with pytest.raises(EnvironmentFault, match="Create the bucket, or correct its name"):
            call("matrix", KEY)
    assert time.monotonic() - started < 10


def test_a_full_disk_is_an_environment_fault_and_leaves_nothing_half_written(
    tmp_path: Path, url: str
) -> None:
    at(tmp_path / "a", url).put_directory("adapter", KEY, _large(tmp_path / "source"))
    code = f"""
        import resource, signal, sys
        from pathlib import Path
        from puretune.errors import EnvironmentFault
        from puretune.store._bucket import Bucket
        from puretune.store._shared import SharedStore
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
        store = SharedStore(Path({str(tmp_path / "b")!r}), Bucket({url!r}))
        try:
            store.get("adapter", {KEY!r})
        except EnvironmentFault as fault:
            sys.exit(str(fault))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert "cannot write" in done.stderr
    assert "with space left" in done.stderr
    assert not [path for path in (tmp_path / "b").rglob("*") if path.is_file()]


def _large(path: Path) -> Path:
    path.mkdir()
    (path / "weights").write_bytes(bytes(3 * 2**20))
    return path


def test_killed_at_any_moment_leaves_nothing_readable_that_is_not_whole(tmp_path: Path, url: str) -> None:
    code = f"""
        from pathlib import Path
        from puretune.store import key_of
        from puretune.store._bucket import Bucket
        from puretune.store._shared import SharedStore
        store = SharedStore(Path({str(tmp_path / "a")!r}), Bucket({url!r}))
        print("ready", flush=True)
        for n in range(10**6):
            store.put_lines("answers", key_of({{"n": n}}), [{{"n": n}}] * 100, {{"by": 1}})
    """
    for n in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.11 * n)
        process.kill()
        process.communicate()
    reader = at(tmp_path / "b", url)
    published = [name.split("/")[-1].removesuffix(".json") for name in names(url, "objects")]
    assert published
    for key in published:
        kept = reader.get("answers", key)
        assert kept is not None
        assert len(kept.lines()) == 100
    again = at(tmp_path / "a", url)
    for n in range(len(published) + 2):
        again.put_lines("answers", key_of({"n": n}), [{"n": n}] * 100, {"by": 2})
    assert not names(url, "damaged")
