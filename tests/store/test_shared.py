"""A store in a bucket: what one machine publishes another gets, whole and once, whatever fails on the way."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore, from_url

from puretune.errors import InputError
from puretune.store import Store, existing_store, key_of, open_store
from puretune.store._bucket import Bucket
from puretune.store._shared import SharedStore
from puretune.store._shared_listing import Listing, manifest_name
from tests.object_server import SECRET, Server

KEY = key_of({"a": 1})
ROWS = [{"text": "x"}, {"text": "y\ud800"}]
QUICK = (0.01,) * 8


def at(root: Path, url: str, say: Callable[[str], None] = lambda text: None) -> SharedStore:
    return SharedStore(root / "store", Bucket(url, delays=QUICK), say)


def names(url: str, prefix: str | None = None) -> list[str]:
    return [found["path"] for page in obstore.list(from_url(url), prefix) for found in page]


def text_of(url: str, name: str) -> bytes:
    return bytes(obstore.get(from_url(url), name).bytes())


def test_what_one_machine_publishes_another_gets(tmp_path: Path, url: str) -> None:
    source = tmp_path / "adapter"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "wei ghts\nä%.bin").write_bytes(os.urandom(11 * 2**20))
    here, there = at(tmp_path / "a", url), at(tmp_path / "b", url)
    here.put_lines("answers", KEY, ROWS, {"seconds": 2})
    here.put_directory("adapter", KEY, source)
    assert there.has("answers", KEY)
    kept, adapter = there.get("answers", KEY), there.get("adapter", KEY)
    assert kept is not None
    assert adapter is not None
    assert kept.lines() == ROWS
    assert kept.about == {"seconds": 2}
    (file,) = (path for path in adapter.directory.rglob("*") if path.is_file())
    assert file.relative_to(adapter.directory) == Path("sub", "wei ghts\nä%.bin")
    assert file.read_bytes() == (source / "sub" / file.name).read_bytes()
    assert Store(tmp_path / "b" / "store", None).has("answers", KEY)


def test_the_environment_names_the_shared_store(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PURETUNE_STORE", url)
    open_store(tmp_path / "run").put_json("matrix", KEY, 3)
    reader = existing_store(tmp_path / "other")
    assert reader is not None
    assert reader.has("matrix", KEY)
    kept = reader.get("matrix", KEY)
    assert kept is not None
    assert kept.json() == 3
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no bucket"),
        ("ftp://x/y", "scheme must be one of s3, gs, az"),
        ("s3://key:secret@bucket", "keys belong in environment variables"),
        ("s3://bucket/a?x=1", "a query"),
        ("s3://bucket/../x", "parts cannot be in it"),
        ("s3://bucket/a//b", "parts cannot be in it"),
        ("s3://bucket/a\x1b[31m", "control character"),
        ("s3://[x", "Invalid IPv6"),
    ],
)
def test_a_url_that_names_no_store_is_an_input_error(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PURETUNE_STORE", url)
    with pytest.raises(InputError, match=re.escape(said)) as error:
        open_store(tmp_path)
    assert "secret" not in str(error.value)


def test_the_first_publication_wins_and_the_loser_takes_it(tmp_path: Path, url: str) -> None:
    here, there = at(tmp_path / "a", url), at(tmp_path / "b", url)
    lost = there.get  # the loser looks before the winner publishes

    def put(store: SharedStore, value: str) -> object:
        return store.put_json("matrix", KEY, value).json()

    here.put_json("matrix", KEY, "first")
    there.get = lambda kind, key: None  # type: ignore[method-assign]
    assert put(there, "second") == "first"
    there.get = lost  # type: ignore[method-assign]
    kept = there.get("matrix", KEY)
    assert kept is not None
    assert kept.json() == "first"
    assert len(names(url, "files")) == 1


def test_publishers_race_and_all_have_the_same(tmp_path: Path, url: str) -> None:
    stores = [at(tmp_path / str(n), url) for n in range(8)]
    for round_ in range(3):
        key = key_of({"round": round_})
        with ThreadPoolExecutor(8) as threads:
            made = [threads.submit(store.put_json, "matrix", key, n) for n, store in enumerate(stores)]
        assert len({one.result().json() for one in made}) == 1
    assert len(names(url, "objects")) == len(names(url, "files")) == 3


def damage(url: str, name: str, change: Callable[[bytes], bytes]) -> None:
    obstore.put(from_url(url), name, change(text_of(url, name)))


@pytest.mark.parametrize(
    ("which", "change", "said"),
    [
        ("files", lambda text: bytes([text[0] ^ 1]) + text[1:], "the content of data.jsonl is not what"),
        ("files", lambda text: text[:-3], "the content of data.jsonl is not what"),
        ("objects", lambda text: text[:40], "not valid JSON"),
        ("objects", lambda text: text.replace(b"answers", b"anzwers"), "describes something else"),
        ("objects", lambda text: text.replace(b'"seconds": 1', b'"seconds": 2'), "is not what was published"),
        ("objects", lambda text: b"\xff" * 20, "manifest.json cannot be read"),
    ],
)
def test_what_is_damaged_there_is_set_aside_named_and_made_again(
    which: str, change: Callable[[bytes], bytes], said: str, tmp_path: Path, url: str
) -> None:
    told: list[str] = []
    at(tmp_path / "a", url).put_lines("answers", KEY, ROWS, {"seconds": 1})
    (name,) = names(url, which)
    damage(url, name, change)
    there = at(tmp_path / "b", url, told.append)
    assert there.get("answers", KEY) is None
    assert len(told) == 1
    assert said in told[0]
    assert f"damaged/answers/{KEY[:2]}/{KEY}.1.json" in told[0]
    assert not there.has("answers", KEY)
    third = at(tmp_path / "c", url)
    assert not third.has("answers", KEY)
    assert third.is_damaged("answers", KEY)
    there.put_lines("answers", KEY, ROWS, {"seconds": 1})
    fourth = at(tmp_path / "d", url)
    assert not fourth.is_damaged("answers", KEY)
    kept = fourth.get("answers", KEY)
    assert kept is not None
    assert kept.lines() == ROWS


def test_a_file_that_is_missing_there_is_damage(tmp_path: Path, url: str) -> None:
    at(tmp_path / "a", url).put_lines("answers", KEY, ROWS)
    obstore.delete(from_url(url), names(url, "files"))
    told: list[str] = []
    assert at(tmp_path / "b", url, told.append).get("answers", KEY) is None
    assert "data.jsonl is missing" in told[0]


def test_a_manifest_cannot_write_outside_its_object(tmp_path: Path, url: str) -> None:
    at(tmp_path / "a", url).put_lines("answers", KEY, ROWS)
    (name,) = names(url, "objects")
    inner = {"kind": "answers", "key": KEY, "about": {}, "files": {"../../evil": {"sha256": "0"}}}
    damage(url, name, lambda _: json.dumps({**inner, "sha256": key_of(inner)}).encode())
    told: list[str] = []
    assert at(tmp_path / "b", url, told.append).get("answers", KEY) is None
    assert "not inside it" in told[0]
    assert not list(tmp_path.rglob("evil*"))


def test_a_reader_touches_nothing(tmp_path: Path, url: str) -> None:
    at(tmp_path / "a", url).put_lines("answers", KEY, ROWS)
    damage(url, names(url, "files")[0], lambda text: b"rubbish")
    before = [(name, text_of(url, name)) for name in names(url)]
    reader = SharedStore(tmp_path / "b", Bucket(url), None)
    assert reader.get("answers", KEY) is None
    assert [(name, text_of(url, name)) for name in names(url)] == before
    assert not (tmp_path / "b").exists()


def test_what_only_the_run_directory_has_is_uploaded_when_asked_for(tmp_path: Path, url: str) -> None:
    Store(tmp_path / "a" / "store").put_json("matrix", KEY, "before there was a bucket")
    assert at(tmp_path / "a", url).has("matrix", KEY)
    kept = at(tmp_path / "b", url).get("matrix", KEY)
    assert kept is not None
    assert kept.json() == "before there was a bucket"


def test_damage_here_is_healed_from_there(tmp_path: Path, url: str) -> None:
    told: list[str] = []
    store = at(tmp_path, url, told.append)
    (store.put_lines("answers", KEY, ROWS).path / "data.jsonl").write_text("rubbish")
    kept = store.get("answers", KEY)
    assert kept is not None
    assert kept.lines() == ROWS
    assert len(told) == 1
    assert not store.is_damaged("answers", KEY)


def test_a_fork_publishes_here_and_its_parent_there(tmp_path: Path, url: str) -> None:
    store = at(tmp_path, url)
    assert not store.has("matrix", KEY)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        store.put_json("matrix", KEY, "made by a fork")
        os._exit(0 if store.has("matrix", KEY) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert names(url) == []
    assert store.get("matrix", KEY) is not None
    assert len(names(url, "objects")) == 1


def _put(opener: Callable[[], Store], value: int) -> None:
    opener().put_json("matrix", KEY, value)


def test_a_store_travels_to_another_process_without_its_keys(tmp_path: Path, url: str) -> None:
    store = at(tmp_path, url, print)
    assert not store.has("matrix", KEY)
    assert SECRET.encode() not in pickle.dumps(store.opener())
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        processes.submit(_put, store.opener(), 7).result()
    assert len(names(url, "objects")) == 1


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_files_without_a_manifest_are_no_object(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(SharedStore, "_claim", interrupted)
        with pytest.raises(KeyboardInterrupt):
            at(tmp_path / "a", url).put_lines("answers", KEY, ROWS)
    assert len(names(url, "files")) == 1
    there = at(tmp_path / "b", url)
    assert not there.has("answers", KEY)
    assert there.get("answers", KEY) is None
    assert there.put_lines("answers", KEY, ROWS).lines() == ROWS
    assert names(url, "objects")


def test_has_asks_for_pages_not_for_keys(tmp_path: Path, url: str, server: Server) -> None:
    store = at(tmp_path, url)
    store.put_json("answers", key_of({"n": 0}), 0)
    server.calls.clear()
    other = at(tmp_path / "other", url)
    assert [other.has("answers", key_of({"n": n})) for n in range(2000)].count(True) == 1
    assert len(server.calls) == 1


def test_an_old_listing_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puretune.store._shared_listing._FRESH", -1)
    memory = Bucket("s3://memory", MemoryStore())
    here, there = SharedStore(tmp_path / "a", memory), SharedStore(tmp_path / "b", memory)
    for n in range(60):
        assert not here.has("matrix", key_of({"n": n}))
        there.put_json("matrix", key_of({"n": n}), n)
        assert here.has("matrix", key_of({"n": n}))


@pytest.mark.parametrize("objects", [3, 4, 5, 700])
def test_a_long_listing_has_every_key_once(objects: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puretune.store._shared_listing._IN_TURN", 4)
    memory = MemoryStore()
    keys = [key_of({"n": n}) for n in range(objects)]
    for number, key in enumerate(keys):
        obstore.put(memory, manifest_name("answers", key), b"" if number % 10 == 0 else b"{}")
    obstore.put(memory, "objects/answers/README", b"somebody's")
    listing = Listing(Bucket("s3://memory", memory), "answers")
    assert [listing.has(key) for key in keys] == [number % 10 != 0 for number in range(objects)]
    assert [listing.was_set_aside(key) for key in keys] == [number % 10 == 0 for number in range(objects)]


def test_what_was_removed_by_others_is_forgotten(tmp_path: Path, url: str) -> None:
    here, there = at(tmp_path / "a", url), at(tmp_path / "b", url)
    here.put_json("matrix", KEY, 1)
    assert there.has("matrix", KEY)
    obstore.delete(from_url(url), names(url, "objects"))
    assert there.get("matrix", KEY) is None
    assert not there.has("matrix", KEY)


def test_the_secret_key_is_nowhere(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    store = at(tmp_path, url, told.append)
    store.put_lines("answers", KEY, ROWS)
    shutil.rmtree(tmp_path / "store")
    damage(url, names(url, "files")[0], lambda text: b"rubbish")
    store.get("answers", KEY)
    with store.held(KEY):
        contents = [text_of(url, name) for name in names(url)]
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert told
    assert not [text for text in (*contents, *written, *map(str.encode, told)) if SECRET.encode() in text]
