"""Sampling: from the right distribution, and from each row's own stream."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from puretune.inference import Decoding
from puretune.inference._sampling import choose, uniforms
from tests.inference.test_local import PROMPTS, answers, requests

LOGITS = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]]))


def chosen(u: float, **how: Any) -> int:
    return int(
        choose(LOGITS, Decoding(**{"temperature": 1.0, **how}), torch.tensor([u], dtype=torch.float64))
    )


@pytest.mark.parametrize(
    ("u", "token"), [(0.0, 0), (0.0999, 0), (0.11, 1), (0.49, 1), (0.51, 2), (0.71, 3), (0.9999, 3)]
)
def test_a_uniform_number_picks_the_token_whose_share_it_falls_in(u: float, token: int) -> None:
    assert chosen(u) == token


@pytest.mark.parametrize(
    ("top_p", "tokens"), [(0.0, {1}), (0.4, {1}), (0.5, {1, 3}), (0.75, {1, 2, 3}), (1.0, {0, 1, 2, 3})]
)
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p: float, tokens: set[int]) -> None:
    assert {chosen(u / 100, top_p=top_p) for u in range(100)} == tokens


def test_a_low_temperature_is_nearly_greedy() -> None:
    assert {chosen(u / 100, temperature=0.01) for u in range(1, 100)} == {1}


@given(st.floats(0, 1, exclude_max=True))
def test_a_token_without_probability_is_never_chosen(u: float) -> None:
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")]])
    drawn = torch.tensor([u], dtype=torch.float64)
    assert int(choose(logits, Decoding(temperature=1.0), drawn)) in (1, 3)


def test_a_stream_depends_on_seed_prompt_and_sample() -> None:
    asked = Decoding(max_new_tokens=5, temperature=1.0)
    first = uniforms((1, 2), asked, 0)
    assert torch.equal(first, uniforms((1, 2), asked, 0))
    assert torch.equal(first[:3], uniforms((1, 2), Decoding(max_new_tokens=3, temperature=1.0), 0))
    others = [
        uniforms((1, 2), asked, 1),
        uniforms((12,), asked, 0),
        uniforms((1, 2), Decoding(5, 1.0, seed=1), 0),
    ]
    assert not any(torch.equal(first, other) for other in others)


def test_samples_do_not_depend_on_what_else_is_asked(llama: Any) -> None:
    asked = requests(temperature=1.0, top_p=0.95, n=3)
    together = answers(llama, asked)
    torch.manual_seed(99)
    assert answers(llama, asked[::-1], batch_size=2) == together
    assert len({together["r0", sample].token_ids for sample in range(3)}) == 3
    alone = answers(llama, requests(PROMPTS[:1], temperature=1.0, top_p=0.95, n=1))
    assert alone["r0", 0] == together["r0", 0]


def test_greedy_and_sampled_requests_go_together(llama: Any) -> None:
    greedy, sampled = requests(PROMPTS[:2]), requests(PROMPTS[2:], temperature=0.7)
    found = answers(llama, [*greedy, *[type(r)(f"s{r.key}", r.prompt, None, r.decoding) for r in sampled]])
    assert len(found) == 6
    assert {key: found[key] for key in answers(llama, greedy)} == answers(llama, greedy)


def test_sampling_leaves_the_global_random_state_alone(llama: Any) -> None:
    state = torch.get_rng_state()
    answers(llama, requests(temperature=1.0))
    assert torch.equal(torch.get_rng_state(), state)
