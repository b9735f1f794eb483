"""The local engine: queues of prompts through the model in this process, one adapter at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from puretune import memory
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.inference._decode import Rows, decode
from puretune.inference._finite import finite
from puretune.inference._likelihood import Likelihood, LikelihoodRequest
from puretune.inference._log_probabilities import likelihoods
from puretune.inference._packed_rows import PackedRows, can_be_packed, tensors_of
from puretune.inference._padded_rows import PaddedRows
from puretune.inference._pool import Pool, longest, pools
from puretune.inference._request_groups import Item, grouped
from puretune.inference._types import Answer, Finish, Request, Takes
from puretune.inference.local import LocalSpec
from puretune.models import BaseModel, applied

_CACHE_BYTES = {"cpu": 1 << 30, "cuda": 16 << 30}
"""Room for keys and values of one batch. Fixed: batches, and so rounding, must not depend on free memory."""
_ROWS, _PLAIN_ROWS = 128, 64
"""Rows of a batch: 64 are as many as keep a small model's keys and values near the processor."""
_WORK = "answer"


class LocalEngine:
    """Answers requests with the base model and adapters on it. Implements ``Engine``.

    Requests of one adapter and one shared prefix are a queue; rows of a batch leave when they are finished
    and the next ones enter. The arguments are the fields of :class:`LocalSpec`.
    """

    name = LocalSpec.name
    version = LocalSpec.version
    takes: Takes = LocalSpec.takes

    def __init__(
        self,
        base: BaseModel,
        batch_tokens: int | None = None,
        batch_size: int | None = None,
        plain: bool = True,
        share_prefix: bool = True,
        refill: bool = True,
    ) -> None:
        self.base = base
        self.batch_size = batch_size
        self.plain = plain
        self.share_prefix = share_prefix
        self.refill = refill
        self.batch_tokens = batch_tokens or _CACHE_BYTES[
            "cuda" if base.device.type == "cuda" else "cpu"
        ] // _bytes_per_token(base.model)

    def generate(self, requests: Iterable[Request], on_event: EventSink = ignore) -> Iterator[Answer]:
        """Answers, ``decoding.n`` per request, as they finish; identical requests are computed once.

        A sampled answer depends on the seed, the prompt and its sample number, not on what else is asked.
        InputError before any work where a request cannot be answered; CheckFailed, with the condition's or
        adapter's name, where logits are not finite.
        """
        groups = grouped(requests, self.base.context_length)
        progress = _Progress(on_event, sum(len(group.wanted) for group in groups))
        for group in groups:
            with applied(self.base, group.adapter) as model, finite(group.adapter):
                for pool in pools(group):
                    for item, ids, finish in self._items(model, pool, progress):
                        text = self.base.renderer.parse(ids)
                        progress.advance()
                        for key, sample in group.wanted[item]:
                            yield Answer(key, sample, text, ids, finish)
        progress.finish()

    def loglikelihood(
        self, requests: Iterable[LikelihoodRequest], on_event: EventSink = ignore
    ) -> Iterator[Likelihood]:
        """How probable each continuation is after its prompt; implements ``LikelihoodEngine``.

        InputError before any work where a request is empty or longer than the context.
        """
        return likelihoods(self.base, requests, self.batch_tokens, self.batch_size or _ROWS, on_event)

    def close(self) -> None:
        """Nothing to release: the base model is its owner's."""

    def _items(
        self, model: Any, pool: Pool, progress: _Progress
    ) -> Iterator[tuple[Item, tuple[int, ...], Finish]]:
        """All items of one pool, those that may take longest first; fewer at once when memory runs out."""
        left, size = pool.items, self._size(pool)
        while left:
            done = set()
            try:
                batch = self.rows(model, pool, min(size, len(left)))
                stops, vocabulary = self.base.renderer.stop_ids, self._vocabulary
                for place, ids, finish in decode(batch, left, stops, size, vocabulary):
                    done.add(place)
                    yield left[place], ids, finish
            except Exception as error:
                if not memory.is_shortage(error):
                    raise
                if size == 1:
                    raise memory.shortage(
                        f"write one answer of up to {longest(left[0]):,} tokens on {self.base.device}",
                        "Use fewer max_new_tokens or a smaller model.",
                    ) from error
                size = max(1, min(size, len(left)) // 2)
                progress.say(f"out of memory: continuing with {size} rows a batch")
            left = [item for place, item in enumerate(left) if place not in done]

    def rows(self, model: Any, pool: Pool, size: int) -> Rows:
        """The batch that the model runs best: as plain tensors where it can be."""
        prefix = pool.prefix if self.share_prefix else ()
        if self._plain:
            known = tensors_of(model, max(map(longest, pool.items)))
            if known is not None:
                return PackedRows(known, prefix, size, self.refill)
        return PaddedRows(model, prefix, self.refill)

    def _size(self, pool: Pool) -> int:
        """How many rows may run at once: a fixed number, fewer where they are long."""
        most = self.batch_size or (_PLAIN_ROWS if self._plain and self.base.device.type == "cpu" else _ROWS)
        return max(1, min(most, self.batch_tokens // max(map(longest, pool.items))))

    @property
    def _vocabulary(self) -> int:
        return int(self.base.model.config.get_text_config(decoder=True).vocab_size)

    @property
    def _plain(self) -> bool:
        return self.plain and can_be_packed(self.base.model)


def _bytes_per_token(model: Any) -> int:
    """Keys and values of one token in all layers."""
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * model.dtype.itemsize)


class _Progress:
    """Counts answers for whoever watches."""

    def __init__(self, on_event: EventSink, total: int) -> None:
        self.on_event = on_event
        self.total = total
        self.done = 0
        on_event(Started(_WORK, total))

    def advance(self) -> None:
        self.done += 1
        self.on_event(Advanced(_WORK, self.done))

    def say(self, note: str) -> None:
        self.on_event(Advanced(_WORK, self.done, note))

    def finish(self) -> None:
        self.on_event(Finished(_WORK, f"{self.done:,} answers"))
