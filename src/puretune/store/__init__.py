"""Storage: keys, atomic publication, digests checked on read, and the lease on a run directory."""

from puretune.store._damage import Say, remove_sound, set_aside, was_set_aside
from puretune.store._files import (
    encoded,
    faults,
    is_alive,
    make_directory,
    publish_directory,
    sweep,
    temporary_name,
    write_bytes,
    write_text,
)
from puretune.store._inventory import Inventory, Item, each, unneeded
from puretune.store._json import json_lines, json_text
from puretune.store._keys import canonical, key_of, sha256_file
from puretune.store._lease import Lease, lease
from puretune.store._objects import Store, Stored
from puretune.store._opening import existing_store, inventory, open_store

__all__ = [
    "Inventory",
    "Item",
    "Lease",
    "Say",
    "Store",
    "Stored",
    "canonical",
    "each",
    "encoded",
    "existing_store",
    "faults",
    "inventory",
    "is_alive",
    "json_lines",
    "json_text",
    "key_of",
    "lease",
    "make_directory",
    "open_store",
    "publish_directory",
    "remove_sound",
    "set_aside",
    "sha256_file",
    "sweep",
    "temporary_name",
    "unneeded",
    "was_set_aside",
    "write_bytes",
    "write_text",
]
