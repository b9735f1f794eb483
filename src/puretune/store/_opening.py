"""Which store a run uses: the one in its directory, or what ``PURETUNE_STORE`` names, a path or a URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from puretune.errors import EnvironmentFault, InputError
from puretune.files import checked_path
from puretune.store._damage import Say
from puretune.store._inventory import DirectoryInventory, Inventory
from puretune.store._objects import Store, silent
from puretune.visible import one_line, quoted, visible

if TYPE_CHECKING:
    from puretune.store._bucket import Bucket

SCHEMES = ("s3", "gs", "az")


def open_store(run: Path, say: Say = silent) -> Store:
    """The store of a run directory: inside it, unless ``PURETUNE_STORE`` names another place. With a URL
    (``s3://BUCKET/PREFIX``, ``gs://``, ``az://``) what is there is shared with the one inside.

    ``say`` is told what was damaged and has been set aside. EnvironmentFault if it cannot be written.
    """
    place = os.environ.get("PURETUNE_STORE", "")
    return _shared(run, place, say) if is_url(place) else Store(_root(run), say)


def existing_store(run: Path) -> Store | None:
    """The store of a run directory, read-only, or None if nothing has been kept yet."""
    place = os.environ.get("PURETUNE_STORE", "")
    if is_url(place):
        return _shared(run, place, None)
    return Store(_root(run), None) if _root(run).is_dir() else None


def open_bucket(url: str) -> Bucket:
    """The bucket that a URL names; InputError for what is no such URL, EnvironmentFault if it cannot be
    opened."""
    checked = _checked_url(url)
    try:
        from puretune.store._bucket import Bucket
    except ImportError:
        raise EnvironmentFault(
            f"the store {checked} needs a package that is not installed. Install it: "
            "pip install 'puretune[objects]'."
        ) from None
    return Bucket(checked)


def inventory(place: str | None) -> Inventory:
    """What is in the store at a place: a URL, the directory of a run or of a store; None: the one that
    ``PURETUNE_STORE`` names. InputError where there is none."""
    place = place or os.environ.get("PURETUNE_STORE") or ""
    if not place:
        raise InputError("no store is named. Give a run directory or a URL, or set PURETUNE_STORE.")
    if is_url(place):
        bucket = open_bucket(place)
        from puretune.store._bucket_inventory import BucketInventory

        return BucketInventory(bucket)
    path = checked_path(place, "store")
    if not path.is_dir():
        raise InputError(f"{visible(path)}: no such directory. Give a run directory, a store, or a URL.")
    return DirectoryInventory(path / "store" if (path / "store").is_dir() else path)


def is_url(text: str) -> bool:
    """Whether a place is an address, not a path."""
    return "://" in text


def _shared(run: Path, url: str, say: Say | None) -> Store:
    bucket = open_bucket(url)
    from puretune.store._shared import SharedStore

    return SharedStore(run / "store", bucket, say)


def _root(run: Path) -> Path:
    elsewhere = os.environ.get("PURETUNE_STORE")
    return checked_path(elsewhere, "PURETUNE_STORE") if elsewhere else run / "store"


def _checked_url(url: str) -> str:
    try:
        wrong = _wrong(url)
    except ValueError as error:
        wrong = one_line(error)
    if wrong:
        said = quoted(re.sub(r"//[^/]*@", "//...@", url))  # what is before the @ may be a key
        raise InputError(f"store {said}: {wrong}. Write s3://BUCKET/PREFIX, gs:// or az:// alike.")
    return url.rstrip("/")


def _wrong(url: str) -> str:
    """What is wrong with the URL of a store; empty if nothing is."""
    parts = urlsplit(url)
    faults = {
        "a control character cannot be in it": not url.isprintable(),
        f"the scheme must be one of {', '.join(SCHEMES)}": parts.scheme not in SCHEMES,
        "keys belong in environment variables, not in the address": "@" in parts.netloc,
        "it names no bucket": not parts.netloc,
        "a query or a fragment cannot be in it": bool(parts.query or parts.fragment),
        "empty, . and .. parts cannot be in it": bool(re.search(r"//|/\.\.?(/|$)", parts.path)),
    }
    return next((said for said, holds in faults.items() if holds), "")
