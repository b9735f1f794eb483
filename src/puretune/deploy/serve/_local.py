"""The local engine as a backend, for small models: one answer at a time, token by token."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import closing
from dataclasses import replace

from puretune.deploy._file_names import SERVING
from puretune.deploy.serve._backend import Piece
from puretune.deploy.serve._release import Release
from puretune.deploy.serve._requests import Ask, Refusal
from puretune.deploy.serve._text import pieces
from puretune.files import read_mapping
from puretune.inference import Request, stream_tokens
from puretune.models import ADAPTER_CONFIG, BaseModel, ModelSpec, TunedModel, adapter_ref, load_base

_Said = Piece | Exception | None
"""A piece, what went wrong, or the end."""
_SPEC = ("model", "revision", "markup", "default_system", "thoughts", "dtype", "quantization")


class LocalBackend:
    """Exports on this machine; those of one base share its weights. Implements ``Backend``."""

    def __init__(self, served: Mapping[str, Release], device: str = "auto") -> None:
        """Loads every base. InputError for one that cannot be loaded."""
        self._turn = asyncio.Lock()
        bases: dict[ModelSpec, BaseModel] = {}
        self._models: dict[str, tuple[BaseModel, TunedModel | None]] = {}
        for name, release in served.items():
            spec, adapter = _weights(release, device)
            if spec not in bases:
                bases[spec] = load_base(spec)
            self._models[name] = (bases[spec], adapter)

    async def answer(self, release: Release, ask: Ask) -> AsyncGenerator[Piece]:
        """Written in a thread, one answer at a time; the thread stops when nobody reads on."""
        loop, queue, stop = asyncio.get_running_loop(), asyncio.Queue[_Said](), threading.Event()

        def write() -> None:
            said: _Said = None
            try:
                with closing(self.pieces(release, ask)) as written:
                    for piece in written:
                        loop.call_soon_threadsafe(queue.put_nowait, piece)
                        if stop.is_set():
                            break
            except Exception as error:
                said = error
            finally:
                loop.call_soon_threadsafe(queue.put_nowait, said)

        await self._turn.acquire()
        work = loop.run_in_executor(None, write)
        # the weights are free again when the thread has ended, whoever waits for it
        work.add_done_callback(lambda _: self._turn.release())
        try:
            while (said := await queue.get()) is not None:
                if isinstance(said, Exception):
                    raise said
                yield said
        finally:
            stop.set()

    def pieces(self, release: Release, ask: Ask) -> Generator[Piece]:
        """The answer in this thread."""
        base, adapter = self._models[release.name]
        prompt = release.prompt(ask.messages)
        how, room = release.decoded(ask), base.context_length - len(prompt)
        if ask.max_tokens is None:
            how = replace(how, max_new_tokens=max(1, min(how.max_new_tokens, room)))
        if how.max_new_tokens > room:
            raise Refusal(
                400,
                "too-long",
                f"{len(prompt):,} tokens of prompt and {how.max_new_tokens:,} new ones do not fit into the "
                f"context of {base.context_length:,}.",
            )
        request = Request("served", prompt, adapter, how)
        yield from pieces(stream_tokens(base, request), base, len(prompt), ask.stop)

    async def healthy(self) -> bool:
        """It is in this process."""
        return True

    async def close(self) -> None:
        """The weights go with the process."""


def _weights(release: Release, device: str) -> tuple[ModelSpec, TunedModel | None]:
    """The base of an export and its adapter; of a merged one the directory itself."""
    directory = release.directory
    facts = read_mapping(directory / SERVING)["base"]
    said = {key: facts[key] for key in _SPEC if facts.get(key) is not None}
    if release.untuned:
        return ModelSpec(**said, device=device), None
    if (directory / ADAPTER_CONFIG).is_file():
        return ModelSpec(**said, device=device), adapter_ref(directory)
    if any(directory.glob("*.safetensors")):
        return ModelSpec(**{**said, "model": str(directory), "revision": None}, device=device), None
    return ModelSpec(**said, device=device), None
