"""What is kept: keys, atomic publication, digests checked on read, and the lease on a run directory."""

from puretune.store._files import json_lines, make_directory, publish_directory, write_bytes, write_text
from puretune.store._keys import canonical, key_of, sha256_file
from puretune.store._lease import lease
from puretune.store._objects import Store, Stored, existing_store, open_store

__all__ = [
    "Store",
    "Stored",
    "canonical",
    "existing_store",
    "json_lines",
    "key_of",
    "lease",
    "make_directory",
    "open_store",
    "publish_directory",
    "sha256_file",
    "write_bytes",
    "write_text",
]
