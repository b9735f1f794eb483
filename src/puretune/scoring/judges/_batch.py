"""The provider's batch mode: upload a file of requests, wait, download the replies. Cheaper, within a day.

A batch that has been handed in is noted in ``LEDGER/batches`` before anything else, so that an interrupted
run finds it again, by its id or by the token in its metadata, in place of paying for another.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from puretune.endpoints import Client, Clock, Patience, Reply, Trouble, need, read_completion
from puretune.errors import EnvironmentFault, InputError
from puretune.files import read_mapping
from puretune.scoring.judges._contract import parse_reply
from puretune.scoring.judges._ledger import Ledger
from puretune.scoring.judges._live import Accept, clipped, judgement_of
from puretune.scoring.judges._requests import Ask
from puretune.scoring.judges._spec import JudgeSpec
from puretune.store import write_text
from puretune.visible import one_line

if TYPE_CHECKING:
    from openai.types import Batch as ProvidersBatch

_Result = TypeVar("_Result")

_LOOK_EVERY = 30.0
"""Seconds between looks at a batch."""
_MOST_REQUESTS, _MOST_BYTES = 50_000, 180_000_000
"""Of one batch: the provider's limits, the second with room to spare."""
_ENDED = ("completed", "expired", "cancelled", "failed")
_TOKEN = "puretune"

Earlier = dict[str, list[Reply]]
"""By request: replies that could not be read, of batches before this one."""


class Batch:
    """Makes requests in batches until the ledger has them all."""

    def __init__(
        self,
        spec: JudgeSpec,
        ledger: Ledger,
        client: Client,
        clock: Clock,
        rng: random.Random,
        accept: Accept,
    ) -> None:
        self._spec = spec
        self._ledger = ledger
        self._client = client
        self._clock = clock
        self._rng = rng
        self._accept = accept
        self._notes = ledger.root / "batches"

    async def run(self, asks: Iterable[Ask], unusable: Collection[str] = ()) -> None:
        """Judge; ``unusable`` are ids of judgements in the ledger that do not count.

        EnvironmentFault if a batch ends without all its replies; what came is in the ledger.
        """
        left = list(asks)
        while left:
            claims = {ask.key: self._ledger.claim(ask.key, unusable) for ask in left}
            try:
                mine = {ask.key: ask for ask in left if claims[ask.key] == "mine"}
                await self._judge(mine)
            finally:
                for key, claim in claims.items():
                    if claim == "mine":
                        self._ledger.release(key)
            left = [ask for ask in left if claims[ask.key] == "elsewhere"]
            if left:
                await self._clock.sleep(_LOOK_EVERY)

    async def _judge(self, mine: dict[str, Ask]) -> None:
        waiting = dict(mine)
        for note in self._handed_in(mine):
            waiting = {key: ask for key, ask in waiting.items() if key not in note.earlier}
            await self._finish(note, mine)
        for part in _parts(waiting.values()):
            note = _Note.new(self._notes, self._spec, part, {ask.key: [] for ask in part})
            await self._finish(note, mine)

    def _handed_in(self, mine: Mapping[str, Ask]) -> list[_Note]:
        """Batches of interrupted runs that hold requests of this one."""
        notes = [_Note.read(path) for path in sorted(self._notes.glob("*.json")) if path.is_file()]
        return [
            note
            for note in notes
            if note is not None and note.endpoint == self._spec.base_url and mine.keys() & note.earlier.keys()
        ]

    async def _finish(self, note: _Note, mine: Mapping[str, Ask]) -> None:
        """See one batch through, and those that ask again for what could not be read."""
        next_note: _Note | None = note
        while next_note is not None:
            note = next_note
            batch = await self._found(note) or await self._hand_in(note, mine)
            batch = await self._ended(batch)
            again, missing = await self._harvest(batch, note, mine)
            next_note = (
                _Note.new(self._notes, self._spec, [mine[key] for key in again], again) if again else None
            )
            if next_note is not None:
                next_note.write()  # before the replies so far are forgotten
            note.path.unlink(missing_ok=True)
            if missing:
                raise EnvironmentFault(
                    f"judge {self._spec.name!r}: batch {batch.id} ended as {batch.status!r} without "
                    f"{missing:,} of {len(note.earlier):,} replies{_why(batch)}. Run again: only these are "
                    "sent again."
                )

    async def _found(self, note: _Note) -> ProvidersBatch | None:
        """The batch at the provider, where it was handed in."""
        if note.id:
            return await self._tried(lambda: _retrieved(self._client, note.id))
        return None if note.fresh else await self._by_token(note)

    async def _by_token(self, note: _Note) -> ProvidersBatch | None:
        page = await self._tried(lambda: _first_page(self._client))
        return next((one for one in page if (one.metadata or {}).get(_TOKEN) == note.token), None)

    async def _hand_in(self, note: _Note, mine: Mapping[str, Ask]) -> ProvidersBatch:
        note.keep_only(mine)
        note.write()
        lines = "".join(_request(mine[key]) for key in note.earlier).encode()
        file = await self._tried(
            lambda: self._client.sdk.files.create(file=(f"{note.token}.jsonl", lines), purpose="batch")
        )
        batch = await self._created(note, file.id)
        note.id = batch.id
        note.write()
        return batch

    async def _created(self, note: _Note, file: str) -> ProvidersBatch:
        """The new batch. A request that seems to have failed may have got through: look before the next."""
        patience = Patience(self._spec.endpoint, self._clock, self._rng)
        while True:
            try:
                return await self._client.call(
                    lambda: self._client.sdk.batches.create(
                        input_file_id=file,
                        endpoint="/v1/chat/completions",
                        completion_window="24h",
                        metadata={_TOKEN: note.token},
                    )
                )
            except Trouble as trouble:
                await self._pause(patience, trouble)
                found = await self._by_token(note)
                if found is not None:
                    return found

    async def _ended(self, batch: ProvidersBatch) -> ProvidersBatch:
        """Wait; a status that is not known is one to wait on."""
        id = batch.id
        while batch.status not in _ENDED:
            await self._clock.sleep(_LOOK_EVERY)
            batch = await self._tried(lambda: _retrieved(self._client, id))
        return batch

    async def _harvest(
        self, batch: ProvidersBatch, note: _Note, mine: Mapping[str, Ask]
    ) -> tuple[Earlier, int]:
        """Keep what came; returns what to ask again for, and how many replies are missing."""
        again: Earlier = {}
        came: set[str] = set()
        for file in (batch.output_file_id, batch.error_file_id):
            if file:
                content = await self._tried(lambda file=file: self._client.sdk.files.content(file))  # type: ignore[misc]
                for key, outcome in _outcomes(content.text, self._spec):
                    if key in note.earlier and key not in came:
                        came.add(key)
                        again |= self._keep(note, key, outcome, key in mine)
        return again, len((note.earlier.keys() & mine.keys()) - came)

    def _keep(self, note: _Note, key: str, outcome: Reply | Trouble, mine: bool) -> Earlier:
        """Keep a reply, of another run's request too; one of ours that cannot be read is asked for again."""
        ask, earlier = Ask(key, {}, note.facts[key]), note.earlier[key]
        if isinstance(outcome, Trouble):
            judgement = judgement_of(ask, earlier, self._spec.attempts, refused=str(outcome))
        else:
            replies = [*earlier, outcome]
            if mine and parse_reply(outcome.text).score is None and len(replies) < self._spec.attempts:
                return {key: replies}
            judgement = judgement_of(ask, replies, self._spec.attempts if mine else len(replies))
        self._ledger.put(judgement)
        if mine:
            self._accept(judgement, "batch")
        return {}

    async def _tried(self, request: Callable[[], Awaitable[_Result]]) -> _Result:
        patience = Patience(self._spec.endpoint, self._clock, self._rng)
        while True:
            try:
                return await self._client.call(request)
            except Trouble as trouble:
                await self._pause(patience, trouble)

    async def _pause(self, patience: Patience, trouble: Trouble) -> None:
        if trouble.kind == "refused":
            raise EnvironmentFault(f"judge {self._spec.name!r}: the batch is refused: {trouble}") from trouble
        await self._clock.sleep(patience.after(trouble))


class _Note:
    """What the ledger knows about a batch that is, or is about to be, handed in."""

    def __init__(
        self, path: Path, endpoint: str, facts: dict[str, Any], earlier: Earlier, id: str, fresh: bool
    ) -> None:
        self.path = path
        self.endpoint = endpoint
        self.facts = facts
        """By request: what its judgement records."""
        self.earlier = earlier
        self.id = id
        self.fresh = fresh
        """Made by this process just now, so that it cannot be at the provider yet."""

    @classmethod
    def new(cls, directory: Path, spec: JudgeSpec, asks: Iterable[Ask], earlier: Earlier) -> _Note:
        path = directory / f"{secrets.token_hex(12)}.json"
        return cls(path, spec.base_url, {ask.key: dict(ask.facts) for ask in asks}, earlier, "", True)

    @classmethod
    def read(cls, path: Path) -> _Note | None:
        """The note in a file; None for one that is damaged, which is set aside."""
        try:
            value = read_mapping(path, "batch's note")
            replies = {key: [Reply(**one) for one in some] for key, some in value["earlier"].items()}
            facts, id = {key: dict(value["facts"][key]) for key in replies}, value["id"]
            if not isinstance(id, str) or not isinstance(value["endpoint"], str):
                raise TypeError("not a note")
        except (InputError, KeyError, TypeError, ValueError, AttributeError):
            path.rename(path.with_suffix(".damaged"))
            return None
        return cls(path, value["endpoint"], facts, replies, id, False)

    @property
    def token(self) -> str:
        return self.path.stem

    def keep_only(self, mine: Mapping[str, Ask]) -> None:
        """Leave out requests that this run does not make: they were never handed in."""
        self.earlier = {key: replies for key, replies in self.earlier.items() if key in mine}
        self.facts = {key: facts for key, facts in self.facts.items() if key in mine}

    def write(self) -> None:
        earlier = {key: [asdict(reply) for reply in replies] for key, replies in self.earlier.items()}
        value = {"endpoint": self.endpoint, "id": self.id, "facts": self.facts, "earlier": earlier}
        write_text(self.path, json.dumps(value) + "\n")


async def _retrieved(client: Client, id: str) -> ProvidersBatch:
    return _readable(await client.sdk.batches.retrieve(id))


def _readable(batch: ProvidersBatch) -> ProvidersBatch:
    """A batch whose fields are of their types; TypeError, within a call a failure, where they are not."""
    return need(batch, id=str, status=str, output_file_id=str | None, error_file_id=str | None)


async def _first_page(client: Client) -> list[ProvidersBatch]:
    """The provider's latest batches; one handed in by a run that was just interrupted is among them."""
    return (await client.sdk.batches.list(limit=100)).data


def _parts(asks: Iterable[Ask]) -> Iterator[list[Ask]]:
    part: list[Ask] = []
    size = 0
    for ask in asks:
        bytes_ = len(_request(ask).encode())
        if part and (len(part) >= _MOST_REQUESTS or size + bytes_ > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(ask)
        size += bytes_
    if part:
        yield part


def _request(ask: Ask) -> str:
    line = {"custom_id": ask.key, "method": "POST", "url": "/v1/chat/completions", "body": dict(ask.body)}
    return json.dumps(line) + "\n"


def _outcomes(text: str, spec: JudgeSpec) -> Iterator[tuple[str, Reply | Trouble]]:
    """What a file of the provider says about each request; a line that says nothing counts as missing."""
    for line in text.splitlines():
        try:
            value = json.loads(line)
            response = value.get("response") or {}
            body = response.get("body") or {}
            if response.get("status_code") == 200:
                yield str(value["custom_id"]), clipped(read_completion(body, spec.model))
            elif response.get("status_code") in (400, 413, 422):
                said = (body.get("error") or {}).get("message", "")
                yield (
                    str(value["custom_id"]),
                    Trouble("refused", f"it refuses this answer: {one_line(said, 300)}"),
                )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Trouble):
            continue


def _why(batch: ProvidersBatch) -> str:
    errors = batch.errors.data if batch.errors and batch.errors.data else []
    return f" ({'; '.join(one_line(error.message) for error in errors[:3])})" if errors else ""
