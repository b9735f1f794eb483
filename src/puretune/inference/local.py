"""The local engine: batches of prompts through transformers, in this process, adapter after adapter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.inference._decode import Item, decode
from puretune.inference._group import grouped
from puretune.inference._likelihood import Likelihood, LikelihoodRequest, likelihoods
from puretune.inference._types import Answer, Finish, Request, Takes
from puretune.models import BaseModel, LazyBase, applied

_CACHE_BYTES = {"cpu": 1 << 30, "cuda": 16 << 30}
"""Room for keys and values of one batch. Fixed: batches, and so rounding, must not depend on free memory."""
_WORK = "answer"


class LocalEngine:
    """Answers requests with the base model and adapters on it. Implements ``Engine``.

    ``batch_size``: most rows in a batch. ``batch_tokens``: most tokens in it, prompts and answers at their
    longest; None: by the size of the model's cache.
    """

    name = "local"
    version = "1"
    takes: Takes = "ids"

    def __init__(self, base: BaseModel, batch_tokens: int | None = None, batch_size: int = 128) -> None:
        self.base = base
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens or _CACHE_BYTES[
            "cuda" if base.device.type == "cuda" else "cpu"
        ] // _bytes_per_token(base.model)

    def generate(self, requests: Iterable[Request], on_event: EventSink = ignore) -> Iterator[Answer]:
        """Answers, ``decoding.n`` per request, as they finish; identical requests are computed once.

        A sampled answer depends on the seed, the prompt and its sample number, not on what else is asked.
        InputError before any work where a request cannot be answered.
        """
        groups = grouped(requests, self.base.context_length)
        progress = _Progress(on_event, sum(len(group.wanted) for group in groups))
        for group in groups:
            with applied(self.base, group.adapter) as model:
                for item, ids, finish in self._items(model, list(group.wanted), progress):
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
        return likelihoods(self.base, requests, self.batch_tokens, self.batch_size, on_event)

    def close(self) -> None:
        """Nothing to give back: the base model is its owner's."""

    def _items(
        self, model: Any, items: list[Item], progress: _Progress
    ) -> Iterator[tuple[Item, tuple[int, ...], Finish]]:
        """All items of one adapter in batches of similar length; less at once when memory runs out."""
        import torch

        size = self.batch_size
        left = sorted(items, key=_cost, reverse=True)
        while left:
            part = self._next(left, size)
            done = set()
            try:
                for place, ids, finish in decode(model, part, self.base.renderer.stop_ids):
                    done.add(place)
                    yield part[place], ids, finish
            except torch.OutOfMemoryError as error:
                if len(part) == 1:
                    raise EnvironmentFault(
                        f"not enough memory on {self.base.device} for one answer of up to "
                        f"{_longest(part[0])} tokens. Use fewer max_new_tokens or a smaller model."
                    ) from error
                size = max(1, len(part) // 2)
                progress.say(f"out of memory: going on with {size} rows a batch")
            left = [item for place, item in enumerate(part) if place not in done] + left[len(part) :]

    def _next(self, items: Sequence[Item], size: int) -> list[Item]:
        """The leading items that make up the next batch: same sampling settings, at most so many tokens."""
        rows, prompt, new = 0, 0, 0
        for item in items[:size]:
            prompt, new = max(prompt, len(item.prompt)), max(new, item.decoding.max_new_tokens)
            if rows and ((rows + 1) * (prompt + new) > self.batch_tokens or _way(item) != _way(items[0])):
                break
            rows += 1
        return list(items[:rows])


@dataclass(frozen=True)
class LocalSpec:
    """The local engine before it is started. Batches decide how sums are rounded, so they are in the key."""

    batch_size: int = 128
    """Most prompts in a batch."""
    batch_tokens: int | None = None
    """Most tokens in a batch, prompts and answers at their longest; None: by the model's cache."""

    name = LocalEngine.name
    version = LocalEngine.version
    takes: ClassVar[Takes] = "ids"
    uses_base = True
    scores = True
    lacking = ""

    def __post_init__(self) -> None:
        """InputError where a value makes no sense."""
        for name in ("batch_size", "batch_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: {value} is out of range. Give at least 1.")

    def identity(self) -> dict[str, Any]:
        """What of the engine decides an answer."""
        return {"name": self.name, "version": self.version, **asdict(self)}

    def open(self, model: LazyBase) -> LocalEngine:
        """The engine on the loaded model."""
        return LocalEngine(model.base, self.batch_tokens, self.batch_size)


def _way(item: Item) -> tuple[float, float]:
    return item.decoding.temperature, item.decoding.top_p


def _cost(item: Item) -> tuple[Any, ...]:
    return (*_way(item), item.decoding.max_new_tokens, len(item.prompt))


def _longest(item: Item) -> int:
    return len(item.prompt) + item.decoding.max_new_tokens


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
