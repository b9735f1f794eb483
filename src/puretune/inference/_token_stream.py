"""One answer token by token, for people who watch it being written."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from puretune.inference._finite import finite
from puretune.inference._local_engine import LocalEngine
from puretune.inference._pool import Pool
from puretune.inference._request_groups import grouped
from puretune.inference._sampling import choose, uniforms
from puretune.inference._types import Request
from puretune.models import BaseModel, applied


def stream_tokens(base: BaseModel, request: Request) -> Iterator[int]:
    """The token ids of one answer as they are chosen, the stop token included: those of ``LocalEngine``.

    InputError, at the first token, for a request that cannot be answered; CheckFailed where logits are not
    finite. Closing the iterator ends the work.
    """
    (group,) = grouped([request], base.context_length)
    item = next(iter(group.wanted))
    asked = item.decoding
    drawn = uniforms(item.prompt, asked, item.sample).tolist() if asked.temperature > 0 else None
    with applied(base, request.adapter) as model, finite(request.adapter), torch.inference_mode():
        rows = LocalEngine(base).rows(model, Pool((), [item]), 1)
        logits = rows.enter([0], [item.prompt])
        for number in range(asked.max_new_tokens):
            at = None if drawn is None else torch.tensor([drawn[number]], dtype=torch.float64)
            token = int(choose(logits, asked, None if at is None else at.to(logits.device))[0])
            yield token
            if token in base.renderer.stop_ids or number + 1 == asked.max_new_tokens:
                return
            logits = rows.step([token])
