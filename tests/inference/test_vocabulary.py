"""A vocabulary of a real model's size: what a pass over prompts may allocate."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from puretune.inference._decode import _LOGIT_BYTES, decode
from puretune.inference._padded_rows import PaddedRows
from puretune.inference._request_groups import Item
from puretune.inference._types import Decoding


class _Head(torch.nn.Linear):
    """A head that says whether its input lies in one piece: else torch copies the weight per row."""

    in_one_piece = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.in_one_piece = self.in_one_piece and x.is_contiguous()
        return super().forward(x)


def test_the_head_of_a_prompt_gets_its_input_in_one_piece() -> None:
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16).eval().requires_grad_(False)
    head = _Head(32, 300, bias=False, dtype=torch.bfloat16)
    head.weight = model.lm_head.weight
    model.lm_head = head
    logits = PaddedRows(model, ()).enter([0, 1], [(1, 2, 3, 4), (1, 9)])
    assert logits.shape == (2, 300)
    assert head.in_one_piece


def test_fewer_rows_run_at_once_where_the_vocabulary_is_large() -> None:
    seen: list[int] = []

    class _Rows:
        refills = False

        def enter(self, rows: Any, prompts: Any) -> torch.Tensor:
            seen.append(len(rows))
            return torch.zeros(len(rows), 4)

        def step(self, tokens: Any) -> torch.Tensor:
            raise AssertionError

        def keep(self, rows: Any) -> bool:
            return True

    items = [Item((1,), Decoding(max_new_tokens=1), sample) for sample in range(6)]
    found = list(decode(_Rows(), items, frozenset(), 6, _LOGIT_BYTES // (4 * 3)))
    assert len(found) == 6
    assert seen == [3, 3]
