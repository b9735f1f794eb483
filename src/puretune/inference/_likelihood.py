"""How probable given text is: log-probabilities of continuations, in batches padded on the left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Protocol

from puretune import memory
from puretune.errors import InputError
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.inference._choose import finite, not_finite
from puretune.inference._module import last_columns
from puretune.models import AdapterRef, BaseModel, applied

_LOGIT_BYTES = 1 << 29
"""Room for one batch's logits in float32, which are as wide as the vocabulary."""
_WORK = "likelihood"


@dataclass(frozen=True)
class LikelihoodRequest:
    """A continuation whose probability after a prompt is asked for, under one adapter."""

    key: str
    prompt: tuple[int, ...]
    """Token ids, BOS included; at least one."""
    continuation: tuple[int, ...]
    """Token ids that follow; at least one."""
    adapter: AdapterRef | None = None


@dataclass(frozen=True)
class Likelihood:
    """What an engine says to a :class:`LikelihoodRequest`."""

    key: str
    logprobs: tuple[float, ...]
    """Natural logarithm of each continuation token's probability given all before it."""
    greedy: bool
    """Whether greedy decoding would have written exactly these tokens."""

    @property
    def total(self) -> float:
        """Natural logarithm of the continuation's probability; NaN where a log-probability is."""
        return math.fsum(self.logprobs)


class LikelihoodEngine(Protocol):
    """An engine that can also say how probable given text is."""

    name: str
    version: str

    def loglikelihood(
        self, requests: Iterable[LikelihoodRequest], on_event: EventSink
    ) -> Iterator[Likelihood]: ...


def likelihoods(
    base: BaseModel,
    requests: Iterable[LikelihoodRequest],
    batch_tokens: int,
    batch_size: int,
    on_event: EventSink = ignore,
) -> Iterator[Likelihood]:
    """One :class:`Likelihood` a request, in any order; requests of one adapter share their batches.

    InputError before any work where a request is empty or longer than the context; CheckFailed, with the
    adapter's name, where logits are not finite.
    """
    groups = likelihood_groups(requests, base.context_length)
    on_event(Started(_WORK, sum(len(group) for _, group in groups)))
    done = 0
    for adapter, group in groups:
        with applied(base, adapter) as model, finite(adapter):
            for request, found in _batches(base, model, group, batch_tokens, batch_size):
                done += 1
                on_event(Advanced(_WORK, done))
                yield Likelihood(request.key, *found)
    on_event(Finished(_WORK, f"{done:,} continuations"))


def likelihood_groups(
    requests: Iterable[LikelihoodRequest], context: int
) -> list[tuple[AdapterRef | None, list[LikelihoodRequest]]]:
    """Requests by adapter; InputError if one is empty or longer than ``context`` tokens."""
    groups: dict[str | None, tuple[AdapterRef | None, list[LikelihoodRequest]]] = {}
    for request in requests:
        _check(request, context)
        digest = request.adapter.digest if request.adapter else None
        groups.setdefault(digest, (request.adapter, []))[1].append(request)
    return list(groups.values())


def _check(request: LikelihoodRequest, context: int) -> None:
    where = f"request {request.key!r}"
    if not request.prompt or not request.continuation:
        raise InputError(f"{where}: prompt and continuation must have at least one token each.")
    if _length(request) > context:
        raise InputError(f"{where}: {_length(request)} tokens do not fit into the context of {context}.")


def _length(request: LikelihoodRequest) -> int:
    return len(request.prompt) + len(request.continuation)


def _batches(
    base: BaseModel, model: Any, requests: list[LikelihoodRequest], batch_tokens: int, batch_size: int
) -> Iterator[tuple[LikelihoodRequest, tuple[tuple[float, ...], bool]]]:
    """All requests of one adapter, longest first; less at once when memory runs out."""
    vocabulary = int(model.config.get_text_config(decoder=True).vocab_size)
    left = sorted(requests, key=lambda r: (_length(r), len(r.continuation)), reverse=True)
    while left:
        part = _next(left, batch_tokens, batch_size, _LOGIT_BYTES // (4 * vocabulary))
        try:
            found = batch_logprobs(model, [(r.prompt, r.continuation) for r in part])
        except Exception as error:
            if not memory.is_shortage(error):
                raise
            if len(part) == 1:
                raise memory.shortage(
                    f"read {_length(part[0]):,} tokens on {base.device}", "Use a smaller model."
                ) from error
            batch_size = len(part) // 2
            continue
        yield from zip(part, found, strict=True)
        left = left[len(part) :]


def _next(
    requests: Sequence[LikelihoodRequest], tokens: int, size: int, scored: int
) -> Sequence[LikelihoodRequest]:
    """The leading requests that make up the next batch: limited by tokens and by rows of logits."""
    rows, width, longest = 0, 0, 0
    for request in requests[:size]:
        width, longest = max(width, _length(request)), max(longest, len(request.continuation))
        if rows and ((rows + 1) * width > tokens or (rows + 1) * longest > scored):
            break
        rows += 1
    return requests[:rows]


def batch_logprobs(
    model: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[tuple[tuple[float, ...], bool]]:
    """For each (prompt ids, continuation ids): the continuation's log-probabilities, and whether it is
    greedy. NotFinite where logits are not numbers.

    The sequences end at the same column, so that logits are computed for the longest continuation only; the
    padding in front of them is masked and has no position.
    """
    import torch

    sequences = [[*prompt, *continuation] for prompt, continuation in pairs]
    keep = max(len(continuation) for _, continuation in pairs)
    ids, mask = _padded(sequences, model.device)
    accepts = signature(model.forward).parameters
    more: dict[str, Any] = {"use_cache": False} if "use_cache" in accepts else {}
    if "position_ids" in accepts:
        more["position_ids"] = (mask.cumsum(-1) - 1).clamp_(min=0)
    if "logits_to_keep" in accepts:
        more["logits_to_keep"] = last_columns(ids, keep)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, **more).logits
        return [_row(logits[row], continuation) for row, (_, continuation) in enumerate(pairs)]


def _padded(sequences: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any]:
    """Ids and mask [rows, tokens] of the sequences without their last token, which predicts nothing asked."""
    import torch

    width = max(len(sequence) for sequence in sequences) - 1
    ids = torch.zeros((len(sequences), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) + 1 :] = torch.tensor(sequence[:-1])
        mask[row, width - len(sequence) + 1 :] = 1
    return ids.to(device), mask.to(device)


def _row(logits: Any, continuation: Sequence[int]) -> tuple[tuple[float, ...], bool]:
    """From one row's logits [tokens, vocabulary]; the last ones predict the continuation."""
    import torch

    scores = logits[-len(continuation) :].float()
    sums = scores.logsumexp(-1)
    if not bool(sums.isfinite().all()):
        raise not_finite()
    wanted = torch.tensor(continuation, device=logits.device)
    chosen = scores.gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
    logprobs = (chosen - sums).tolist()
    return tuple(logprobs), bool((scores.argmax(-1) == wanted).all())
