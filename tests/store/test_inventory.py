"""What a store holds: the same items, checks and removals in a directory as in a bucket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import from_url

from puretune.errors import CheckFailed
from puretune.store import Inventory, Item, Store, each, inventory, key_of, unneeded
from puretune.store._bucket import Bucket
from puretune.store._shared import SharedStore

KEYS = [key_of({"n": n}) for n in range(3)]


class Place:
    """A store with three objects of two kinds, and how to do harm in it."""

    def __init__(self, store: Store, where: str, files: Callable[[], list[str]]) -> None:
        self.store, self.where, self.files = store, where, files
        for key in KEYS[:2]:
            store.put_json("matrix", key, 1, {"seconds": 3})
        store.put_lines("answers", KEYS[2], [{"text": "x"}])

    @property
    def inventory(self) -> Inventory:
        return inventory(self.where)

    def items(self) -> list[tuple[str, str, str]]:
        return [(item.kind, item.key, item.state) for item in self.inventory.items()]


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> Place:
    root = tmp_path / "store"
    if request.param == "directory":

        def inside() -> list[str]:
            return sorted(str(path) for path in root.rglob("data*"))

        return Place(Store(root), str(tmp_path), inside)

    def there() -> list[str]:
        return [found["path"] for page in obstore.list(from_url(url), "files") for found in page]

    return Place(SharedStore(root, Bucket(url)), url, there)


def spoil(place: Place, name: str) -> None:
    if "://" in place.where:
        obstore.put(from_url(place.where), name, b"rubbish")
    else:
        Path(name).write_text("rubbish")


ALL = [
    ("answers", KEYS[2], "published"),
    *(("matrix", key, "published") for key in sorted(KEYS[:2])),
]


def test_every_object_is_listed_with_its_bytes_age_and_notes(place: Place) -> None:
    assert place.items() == ALL
    items = list(place.inventory.items())
    assert all(item.bytes > 100 for item in items)
    assert all(abs(place.inventory.now() - item.modified) < timedelta(minutes=5) for item in items)
    assert [found for _, found in each(place.inventory.about, items)] == [{}, {"seconds": 3}, {"seconds": 3}]


def test_damage_is_found_set_aside_and_made_again(place: Place) -> None:
    name = next(name for name in place.files() if KEYS[2] in name)
    spoil(place, name)
    (damaged,) = [
        (item, found)
        for item, found in each(place.inventory.verify, place.inventory.items())
        if isinstance(found, CheckFailed)
    ]
    assert damaged[0].key == KEYS[2]
    assert "not what was published" in str(damaged[1])
    told: list[str] = []
    place.inventory.set_aside(damaged[0], str(damaged[1]), told.append)
    assert len(told) == 1
    assert [item for item in place.items() if item[2] == "published"] == ALL[1:]
    assert ("answers", KEYS[2], "damaged") in place.items()
    assert not list(unneeded(place.inventory, None, (), older=-60))
    aside = list(unneeded(place.inventory, None, (), damaged=True, older=-60))
    assert {(item.kind, item.key, item.state) for item in aside} == {("answers", KEYS[2], "damaged")}
    for item in aside:
        place.inventory.remove(item)
    assert place.items() == ALL[1:]


def test_what_nobody_needs_goes_and_the_rest_stays(place: Place) -> None:
    needed = {KEYS[0], KEYS[2]}
    kinds = ("matrix", "answers")
    assert not list(unneeded(place.inventory, needed, kinds))  # all of it is young
    assert not list(unneeded(place.inventory, needed, ("answers",), older=-60))
    (item,) = unneeded(place.inventory, needed, kinds, older=-60)
    assert (item.kind, item.key) == ("matrix", KEYS[1])
    place.inventory.remove(item)
    assert place.items() == [item for item in ALL if item[1] != KEYS[1]]
    assert not [name for name in place.files() if KEYS[1] in name]


def test_what_a_killed_process_left_is_unfinished_and_goes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr("puretune.store._objects.remove", lambda path: None)
        killed.setattr(SharedStore, "_claim", lambda *_: 1 / 0)
        killed.setattr("puretune.store._objects.publish_directory", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            place.store.put_lines("answers", KEYS[0], [])
    left = [item for item in place.inventory.items() if item.state == "unfinished"]
    assert [(item.kind, item.key[:40]) for item in left] == [("answers", KEYS[0][:40])]
    assert list(unneeded(place.inventory, None, (), older=-60)) == left
    for item in left:
        place.inventory.remove(item)
    assert place.items() == ALL


@pytest.mark.parametrize("place", ["bucket"], indirect=True)
def test_what_lost_a_race_is_unfinished_next_to_what_won(place: Place, url: str) -> None:
    (name,) = [name for name in place.files() if KEYS[2] in name]
    other = name.replace(name.split("/")[4], "0" * 64)
    obstore.put(from_url(url), other, b"lost")
    left: list[Item] = list(unneeded(place.inventory, None, (), older=-60))
    assert [item.places for item in left] == [(other,)]
    assert [item for item in place.items() if item[2] == "published"] == ALL


def test_other_files_are_nobodys_business(tmp_path: Path) -> None:
    Store(tmp_path).put_json("matrix", KEYS[0], 1)
    (tmp_path / "matrix" / "ab").mkdir(exist_ok=True)
    for name in ("notes.txt", KEYS[0], "damaged-1.x", ".x.tmp"):
        (tmp_path / "matrix" / "zz").mkdir(exist_ok=True)
        (tmp_path / "matrix" / "zz" / name).write_text("mine")
    (tmp_path / "matrix" / "ab" / ("ab" + "0" * 62)).symlink_to("/")
    items = list(inventory(str(tmp_path)).items())
    assert ("matrix", KEYS[0], "published") in [(item.kind, item.key, item.state) for item in items]
    assert {item.key for item in items} == {KEYS[0], "ab" + "0" * 62}
    for item in items:
        inventory(str(tmp_path)).remove(item)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4
