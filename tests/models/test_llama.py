"""Llama-like models as plain tensors: the same numbers as their modules give, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.models import _size, attached, new_lora, plain_llama
from tests.tiny import tiny_base, tiny_gpt2, tiny_llama, tiny_mistral, tiny_qwen2

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


def variant(**more: Any) -> Callable[[Path], Path]:
    return lambda directory: tiny_llama(directory, **more)


KNOWN = {
    "plain": variant(),
    "grouped queries": variant(num_key_value_heads=2),
    "biases": variant(attention_bias=True, mlp_bias=True),
    "a head of its own width": variant(head_dim=16),
    "scaled positions": variant(rope_parameters=LLAMA3),
    "qwen2": tiny_qwen2,
}


def causal(layer: int, q: Any, k: Any, v: Any) -> Any:
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return out[0].transpose(0, 1).flatten(1)


@pytest.mark.parametrize("kind", KNOWN)
def test_logits_are_those_of_the_module(kind: str, tmp_path: Path) -> None:
    model = tiny_base(KNOWN[kind](tmp_path / "model")).model
    plain = plain_llama(model, 128)
    assert plain is not None
    ids = (7 * torch.arange(90)) % model.config.vocab_size
    with torch.inference_mode():
        found = plain.head(plain.hidden(ids, torch.arange(90), causal))
        torch.testing.assert_close(found, model(input_ids=ids[None]).logits[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_mistral, variant(hidden_act="gelu")])
def test_models_that_are_not_known_in_every_detail_stay_modules(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    assert plain_llama(tiny_base(make(tmp_path / "model")).model, 8) is None


def test_a_model_with_something_attached_stays_a_module(llama: Any) -> None:
    lora = new_lora(llama.model, 2, 4, ["q_proj"], torch.Generator().manual_seed(0))
    with attached(llama.model, lora):
        assert plain_llama(llama.model, 8) is None
    assert plain_llama(llama.model, 8) is not None


class Half:
    """A model in bfloat16 with an adapter beside it, as plain tensors, as a module, and exactly: the module
    with the same weights in float32."""

    def __init__(self, path: Path, targets: list[str]) -> None:
        self.model, self.exact = (tiny_base(path, dtype="bfloat16").model for _ in range(2))
        self.exact.float()
        torch.manual_seed(0)
        lora = new_lora(self.model, 4, 8, targets, torch.Generator().manual_seed(0))
        for a, b in lora.pairs.values():
            b.data.normal_(std=0.1)
            for matrix in (a, b):  # numbers that both formats have
                matrix.data = matrix.data.bfloat16().float()
        self.ids = (7 * torch.arange(90)) % self.model.config.vocab_size
        with torch.inference_mode():
            self.base = self.exact(input_ids=self.ids[None]).logits[0]
            with attached(self.exact, lora):
                self.truth = self.exact(input_ids=self.ids[None]).logits[0]
            with attached(self.model, lora):
                self.module = self.model(input_ids=self.ids[None]).logits[0]
                plain = plain_llama(self.model, 128)
                assert plain is not None
                self.plain = plain.head(plain.hidden(self.ids, torch.arange(90), self._attend))
                wanted = torch.tensor([3, 50, 89])
                some = plain.hidden(self.ids, torch.arange(90), self._attend_some(wanted), wanted)
                self.some = plain.head(some)

    @staticmethod
    def _attend(layer: int, q: Any, k: Any, v: Any) -> Any:
        return causal(layer, q.float(), k.float(), v.float()).to(q.dtype)

    def _attend_some(self, wanted: Any) -> Any:
        def attend(layer: int, q: Any, k: Any, v: Any) -> Any:
            if len(q) == len(k):
                return self._attend(layer, q, k, v)
            everywhere = q.new_zeros(len(k), *q.shape[1:]).index_copy(0, wanted, q)
            return self._attend(layer, everywhere, k, v)[wanted]

        return attend


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["all-linear"]], ids=["some", "all"])
@pytest.mark.parametrize("kind", KNOWN)
def test_in_half_precision_the_plain_logits_are_as_exact_as_the_modules(
    kind: str, targets: list[str], tmp_path: Path
) -> None:
    half = Half(KNOWN[kind](tmp_path / "model"), targets)
    error = (half.plain - half.truth).norm()
    assert error < 1.2 * (half.module.float() - half.truth).norm()
    assert error < 0.1 * (half.base - half.truth).norm()  # the adapter is in them
    torch.testing.assert_close(half.some, half.plain[[3, 50, 89]], rtol=0.02, atol=0.02)


def test_in_half_precision_large_models_and_dropout_stay_with_the_module(
    llama_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_base(llama_path, dtype="bfloat16").model
    lora = new_lora(model, 2, 4, ["q_proj"], torch.Generator().manual_seed(0))
    with attached(model, lora):
        assert plain_llama(model, 8) is not None
    with attached(model, lora, lambda name, x: x):
        assert plain_llama(model, 8) is None
    monkeypatch.setattr(_size, "SMALL_MODEL", 100)
    assert plain_llama(model, 8) is None
