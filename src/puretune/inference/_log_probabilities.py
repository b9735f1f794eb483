"""Log-probabilities of continuations by any Hugging Face model, in batches padded on the left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from inspect import signature
from typing import Any

import torch

from puretune import memory
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.inference._finite import finite, not_finite
from puretune.inference._likelihood import Likelihood, LikelihoodRequest, likelihood_groups
from puretune.inference._padded_rows import last_columns
from puretune.models import BaseModel, applied

_LOGIT_BYTES = 1 << 29
"""Room for one batch's logits in float32, which are as wide as the vocabulary."""
_WORK = "likelihood"


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


def _batches(
    base: BaseModel, model: Any, requests: list[LikelihoodRequest], batch_tokens: int, batch_size: int
) -> Iterator[tuple[LikelihoodRequest, tuple[tuple[float, ...], bool]]]:
    """All requests of one adapter, longest first; less at once when memory runs out."""
    vocabulary = int(model.config.get_text_config(decoder=True).vocab_size)
    left = sorted(requests, key=lambda r: (r.length, len(r.continuation)), reverse=True)
    while left:
        part = _next(left, batch_tokens, batch_size, _LOGIT_BYTES // (4 * vocabulary))
        try:
            found = batch_logprobs(model, [(r.prompt, r.continuation) for r in part])
        except Exception as error:
            if not memory.is_shortage(error):
                raise
            if len(part) == 1:
                raise memory.shortage(
                    f"read {part[0].length:,} tokens on {base.device}", "Use a smaller model."
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
        width, longest = max(width, request.length), max(longest, len(request.continuation))
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
    width = max(len(sequence) for sequence in sequences) - 1
    ids = torch.zeros((len(sequences), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) + 1 :] = torch.tensor(sequence[:-1])
        mask[row, width - len(sequence) + 1 :] = 1
    return ids.to(device), mask.to(device)


def _row(logits: Any, continuation: Sequence[int]) -> tuple[tuple[float, ...], bool]:
    """From one row's logits [tokens, vocabulary]; the last ones predict the continuation."""
    scores = logits[-len(continuation) :].float()
    sums = scores.logsumexp(-1)
    if not bool(sums.isfinite().all()):
        raise not_finite()
    wanted = torch.tensor(continuation, device=logits.device)
    chosen = scores.gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
    logprobs = (chosen - sums).tolist()
    return tuple(logprobs), bool((scores.argmax(-1) == wanted).all())
