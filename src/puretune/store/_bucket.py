"""A bucket: named contents behind ``s3://``, ``gs://`` or ``az://``, asked with patience.

Every call that fails in passing (a lost connection, a 500, a throttled request) is made again, later and
later; what will not pass (credentials, a bucket that does not exist) is an EnvironmentFault at once.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import ObjectStore, from_url

from puretune.errors import EnvironmentFault, InputError
from puretune.store._files import faults
from puretune.visible import one_line, quoted

_T = TypeVar("_T")

Version = Mapping[str, str]
"""What a provider calls one content under a name: :meth:`Bucket.put` writes over exactly this one."""

_LARGEST = 64 * 2**20
"""Bytes that are read into memory; more is no manifest."""
_DELAYS = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""Seconds before a call that failed is made again; a random part of each is added."""
_PAGE = 1000
_CHUNK = 4 * 2**20
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AZURE_STORAGE_ENDPOINT")
_CLIENT = ("ALLOW_HTTP", "ALLOW_INVALID_CERTIFICATES", "CONNECT_TIMEOUT", "PROXY_URL", "TIMEOUT")
_CONNECT, _REQUEST = timedelta(seconds=10), timedelta(minutes=5)


@dataclass(frozen=True)
class Found:
    """What a bucket has under a name."""

    name: str
    size: int
    modified: datetime
    """By the clock of the bucket's server."""
    version: Version = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)


class Bucket:
    """What lies under one URL."""

    def __init__(self, url: str, store: ObjectStore | None = None, delays: Sequence[float] = _DELAYS) -> None:
        """``store``: what is asked in place of what the URL names; EnvironmentFault if that cannot be."""
        self.url = url
        self.delays = delays
        self._store: Any = store if store is not None else _opened(self.url)

    def __reduce__(self) -> tuple[type[Self], tuple[str, None, Sequence[float]]]:
        """In another process it is opened again, with the credentials that are there."""
        return type(self), (self.url, None, self.delays)

    def get(self, name: str) -> Found | None:
        """The content under a name, in memory (nothing of what is too large); None if there is none."""

        def call() -> Found:
            result = obstore.get(self._store, name)
            return _found(result.meta, bytes(result.bytes()) if result.meta["size"] <= _LARGEST else b"")

        return self._patient(call, f"read {name}")

    def head(self, name: str) -> Found | None:
        """What there is under a name, without its content."""

        def call() -> Found:
            return _found(obstore.head(self._store, name))

        return self._patient(call, f"look for {name}")

    def download(self, name: str, path: Path) -> bool:
        """Write the content under a name to a new file; False if there is none."""

        def call() -> bool:
            chunks = obstore.get(self._store, name).stream(min_chunk_size=_CHUNK)
            with faults(path), path.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            return True

        return bool(self._patient(call, f"read {name}"))

    def sha256(self, name: str) -> str | None:
        """The digest of the content under a name, without keeping it; None if there is none."""

        def call() -> str:
            digest = hashlib.sha256()
            for chunk in obstore.get(self._store, name).stream(min_chunk_size=_CHUNK):
                digest.update(chunk)
            return digest.hexdigest()

        return self._patient(call, f"read {name}")

    def folders(self, prefix: str) -> Sequence[str]:
        """The names of the folders under a prefix."""

        def call() -> Sequence[str]:
            inner = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
            return sorted(path.rpartition("/")[2] for path in inner)

        return self._patient(call, f"list {prefix}") or []

    def put(
        self, name: str, content: bytes | Path, over: Version | None = None, new: bool = False
    ) -> Version | None:
        """Write a content whole; None where somebody was faster: with ``new`` there is one already, and with
        ``over`` what is there is not that any more. That somebody may have been this very call, where its
        first answer was lost: look at what is there.
        """

        def call() -> Version:
            mode: Any = dict(over) if over is not None else "create" if new else "overwrite"
            return _version(obstore.put(self._store, name, content, mode=mode))

        return self._patient(call, f"write {name}")

    def now(self) -> datetime:
        """The time by the bucket's clock: when it says that something was written just now."""
        name = f"leases/clock.{secrets.token_hex(8)}"
        self.put(name, b"")
        found = self.head(name)
        self.delete([name])
        if found is None:
            raise EnvironmentFault(f"the store {self.url} loses what is written to it. Use another one.")
        return found.modified

    def delete(self, names: Sequence[str]) -> None:
        """Remove contents; those that are not there are no error."""

        def call() -> None:
            obstore.delete(self._store, list(names))

        if names:
            self._patient(call, f"remove {names[0]}")

    def list(self, prefix: str) -> Iterator[Found]:
        """What there is under a prefix of whole path segments, in the order of names, page by page."""
        last: str | None = None
        before, tries = last, iter((*self.delays, None))
        while True:
            try:
                for found in self._pages(prefix, last):
                    yield found
                    last = found.name
                return
            except Exception as error:
                if last != before:  # patience is for one page
                    before, tries = last, iter((*self.delays, None))
                self._wait(next(tries), error, f"list {prefix}")

    def _pages(self, prefix: str, after: str | None) -> Iterator[Found]:
        for page in obstore.list(self._store, prefix, offset=after, chunk_size=_PAGE):
            yield from map(_found, page)

    def _patient(self, call: Callable[[], _T], what: str) -> _T | None:
        """The call's result; None where there is no such content, or somebody was faster."""
        for delay in (*self.delays, None):
            try:
                return call()
            except Exception as error:
                if _is_no(error):
                    return None
                self._wait(delay, error, what)
        return None

    def _wait(self, delay: float | None, error: Exception, what: str) -> None:
        """Sleep before the next try; EnvironmentFault if there is none, or none would help."""
        if not _is_passing(error):
            raise error
        advice = _lasting(str(error), self.url)
        if advice is None and delay is not None:
            time.sleep(delay * (1 + random.random()))
            return
        raise EnvironmentFault(
            f"the store {self.url}: cannot {one_line(what)}: {_reason(error)}. "
            + (advice or _ELSEWHERE + _RESUME)
        ) from None


_NO_OBJECT = "Object at location"
"""How obstore's FileNotFoundError begins, unlike the operating system's."""
_ELSEWHERE = "Check the network and the endpoint (AWS_ENDPOINT_URL for S3). "
_RESUME = "Finished work is kept: the same command resumes."
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


def _opened(url: str) -> ObjectStore:
    for name in _ENDPOINTS:  # obstore does not survive others
        if (place := os.environ.get(name)) is not None and not re.match(r"https?://[^\s/]", place):
            raise InputError(f"{name} {quoted(place, 60)}: not an address. Write https://HOST, or unset it.")
    try:
        return from_url(
            url,
            retry_config={"max_retries": 1, "retry_timeout": _REQUEST},
            client_options=_client(urlsplit(url).scheme),
        )
    except Exception as error:
        advice = _lasting(str(error), url) or "Check the URL and the variables of its provider."
        raise EnvironmentFault(f"the store {url}: {_reason(error)}. {advice}") from None


def _client(scheme: str) -> Any:
    """How the HTTP client works: as the provider's variables say, with more patience than obstore has."""
    prefix = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}[scheme]
    named = {name.lower(): os.environ.get(f"{prefix}_{name}") for name in _CLIENT}
    return {
        "connect_timeout": _CONNECT,
        "timeout": _REQUEST,
        **{name: value for name, value in named.items() if value},
    }


def _found(meta: Any, content: bytes = b"") -> Found:
    return Found(meta["path"], meta["size"], meta["last_modified"], _version(meta), content)


def _version(meta: Any) -> Version:
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name) is not None}


def _is_no(error: Exception) -> bool:
    """Whether an answer, not a failure: there is no such content, or somebody was faster."""
    missing = isinstance(error, NotFoundError) or str(error).startswith(_NO_OBJECT)
    return (missing and "NoSuchBucket" not in str(error)) or isinstance(
        error, AlreadyExistsError | PreconditionError
    )


def _is_passing(error: Exception) -> bool:
    """Whether the error is the store's, so that the same call may succeed later."""
    return isinstance(error, BaseError) or str(error).startswith(_NO_OBJECT)


def _lasting(text: str, url: str) -> str | None:
    """What to do about an error that no patience helps with; None for any other."""
    scheme = urlsplit(url).scheme
    if re.search(r"NoSuchBucket|ContainerNotFound|bucket does not exist", text):
        return "Create the bucket, or correct its name."
    if re.search(
        r"169\.254\.169\.254|metadata\.google|Account must be specified|Missing (AccessKey|Secret)", text
    ):
        return f"No credentials were given: set {_KEYS[scheme]}."
    if re.search(r"\b(401|403)\b|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied", text):
        return f"Check {_KEYS[scheme]}, and that they may list, read, write and remove there."
    if "builder error" in text:
        return "An endpoint without TLS needs AWS_ALLOW_HTTP=true; otherwise check AWS_ENDPOINT_URL."
    return None


def _reason(error: Exception) -> str:
    """The first line of an error, without its debug part; it names no secret."""
    text = str(error).split("Debug source")[0]
    code = re.search(r"<Code>(\w+)</Code>", text)
    status = re.search(r"status code: (\d+ [\w ]+)", text)
    if status or code:
        return ", ".join(found[1].strip() for found in (status, code) if found)
    return one_line(text.split(" - ")[-1].splitlines()[0] if text.strip() else type(error).__name__).rstrip(
        "."
    )
