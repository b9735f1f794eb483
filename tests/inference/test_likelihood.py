"""Log-likelihoods of continuations: equal to a plain forward pass, however they are batched."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import CheckFailed, InputError
from puretune.inference import Decoding, Likelihood, LikelihoodRequest, LocalEngine, Request
from tests.tiny import CONTEXT, FAMILIES, tiny_base

PAIRS = [
    ((1, 7, 9), (11,)),
    ((1, 7, 9, 12, 30, 31, 40, 8), (11, 12, 13)),
    ((5,), (6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)),
    ((1, 7, 9), (12, 11)),
]
REQUESTS = [LikelihoodRequest(str(n), *pair) for n, pair in enumerate(PAIRS)]


def plain(model: Any, prompt: tuple[int, ...], continuation: tuple[int, ...]) -> list[float]:
    """The definition, one sequence at a time."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *continuation]])).logits[0].float()
    found = logits.log_softmax(-1)
    return [found[len(prompt) - 1 + n, token].item() for n, token in enumerate(continuation)]


def asked(engine: LocalEngine, requests: list[LikelihoodRequest]) -> dict[str, Likelihood]:
    return {found.key: found for found in engine.loglikelihood(requests)}


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_equal_a_plain_forward_pass(family: str, tmp_path: Path) -> None:
    base = tiny_base(FAMILIES[family](tmp_path / family))
    found = asked(LocalEngine(base), REQUESTS)
    for request in REQUESTS:
        expected = plain(base.model, request.prompt, request.continuation)
        assert found[request.key].logprobs == pytest.approx(expected, abs=1e-4)


def test_the_padding_side_of_the_tokenizer_changes_nothing(llama: Any) -> None:
    before = asked(LocalEngine(llama), REQUESTS)
    side = llama.tokenizer.padding_side
    llama.tokenizer.padding_side = "right" if side == "left" else "left"
    try:
        assert asked(LocalEngine(llama), REQUESTS) == before
    finally:
        llama.tokenizer.padding_side = side


def test_any_batch_size_gives_the_same(llama: Any) -> None:
    together = asked(LocalEngine(llama), REQUESTS)
    alone = asked(LocalEngine(llama, batch_size=1), REQUESTS)
    for key, found in together.items():
        assert found.logprobs == pytest.approx(alone[key].logprobs, abs=1e-4)


def test_what_greedy_decoding_writes_is_greedy(llama: Any) -> None:
    engine, prompt = LocalEngine(llama), (1, 7, 9)
    (answer,) = engine.generate([Request("a", prompt, decoding=Decoding(max_new_tokens=5))])
    other = tuple((token + 1) % 100 for token in answer.token_ids)
    requests = [LikelihoodRequest("yes", prompt, answer.token_ids), LikelihoodRequest("no", prompt, other)]
    found = asked(engine, requests)
    assert (found["yes"].greedy, found["no"].greedy) == (True, False)


def test_probabilities_of_all_next_tokens_add_up_to_one(llama: Any) -> None:
    size = llama.model.config.vocab_size
    found = asked(LocalEngine(llama), [LikelihoodRequest(str(t), (1, 7), (t,)) for t in range(size)])
    assert math.fsum(math.exp(one.total) for one in found.values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("prompt", "continuation", "message"),
    [
        ((), (1,), "at least one token"),
        ((1,), (), "at least one token"),
        ((1,), (2,) * CONTEXT, "do not fit into the context"),
    ],
)
def test_what_cannot_be_asked_is_an_input_error(
    llama: Any, prompt: tuple[int, ...], continuation: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        asked(LocalEngine(llama), [LikelihoodRequest("a", prompt, continuation)])


def test_a_model_that_overflows_ends_the_run_with_its_name(tmp_path: Path) -> None:
    base = tiny_base(FAMILIES["llama"](tmp_path / "llama"))
    base.model.lm_head.weight[:] = math.nan
    with pytest.raises(CheckFailed, match="the base model: the logits are not finite"):
        asked(LocalEngine(base), REQUESTS[:1])
