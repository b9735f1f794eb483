"""Every supported family as plain tensors: the numbers and gradients that its module gives, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.decoder import FAMILIES, decoder_of, in_detail, joined, separate
from puretune.inference._packed_rows import tensors_of
from puretune.models import Lora, _size, attached, merged, new_lora
from tests.tiny import tiny_base, tiny_gpt2, tiny_llama, tiny_mistral, tiny_qwen2, tiny_qwen3
from tests.tuning.gang.gangs import gang_gradients, jobs_of, loop_gradients, varied

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


def variant(**more: Any) -> Callable[[Path], Path]:
    return lambda directory: tiny_llama(directory, **more)


MODELS = {
    "llama 2": variant(),
    "llama 3": variant(num_key_value_heads=2, rope_parameters=LLAMA3),
    "smollm": variant(num_key_value_heads=2, tie_word_embeddings=True),
    "llama with biases": variant(attention_bias=True, mlp_bias=True),
    "llama with wide heads": variant(head_dim=16),
    "mistral": tiny_mistral,
    "qwen2": tiny_qwen2,
    "qwen3": tiny_qwen3,
}
TARGETS = {"some": ["q_proj", "v_proj"], "all": ["all-linear"]}
TOKENS = 90


@pytest.fixture(scope="module", params=MODELS)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODELS[request.param](tmp_path_factory.mktemp("families") / "model")


def adapter(model: Any, targets: list[str]) -> Lora:
    """With an effect, of numbers that float32 and bfloat16 both have."""
    lora = new_lora(model, 4, 8, targets, torch.Generator().manual_seed(0))
    for a, b in lora.pairs.values():
        b.data.normal_(std=0.1, generator=torch.Generator().manual_seed(b.shape[0]))
        for matrix in (a, b):
            matrix.data = matrix.data.bfloat16().float()
    return lora


def ids_for(model: Any) -> torch.Tensor:
    return (7 * torch.arange(TOKENS)) % model.config.vocab_size


def by_module(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=ids_for(model)[None]).logits[0].float()


def by_decoder(model: Any, join: Any, wanted: torch.Tensor | None = None) -> torch.Tensor:
    decoder = decoder_of(model, 128, join)

    def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        at = torch.arange(TOKENS) if len(q) == TOKENS else wanted
        assert at is not None
        back = at[:, None] - torch.arange(TOKENS)
        seen = (back >= 0) & (back < (decoder.layers[layer].window or TOKENS))
        q, k, v = (x.float().transpose(0, 1)[None] for x in (q, k, v))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
        return out[0].transpose(0, 1).flatten(1).to(model.dtype)

    with torch.inference_mode():
        hidden = decoder.hidden(ids_for(model), torch.arange(TOKENS), attend, wanted)
        return decoder.output(hidden, None)[0].float()


@pytest.mark.parametrize("targets", [None, *TARGETS.values()], ids=["none", *TARGETS])
def test_logits_are_those_of_the_module(targets: list[str] | None, path: Path) -> None:
    model = tiny_base(path).model
    with merged(model, adapter(model, targets)) if targets else nullcontext():
        torch.testing.assert_close(by_decoder(model, separate), by_module(model), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("targets", TARGETS.values(), ids=TARGETS)
def test_in_half_precision_logits_are_as_exact_as_the_modules(targets: list[str], path: Path) -> None:
    model, exact = (tiny_base(path, dtype="bfloat16").model for _ in range(2))
    exact.float()
    lora, wanted = adapter(model, targets), torch.tensor([3, 50, 89])
    without = by_module(exact)
    with attached(exact, lora):
        truth = by_module(exact)
    with attached(model, lora):
        module, found, some = by_module(model), by_decoder(model, joined), by_decoder(model, joined, wanted)
    error = (found - truth).norm()
    assert error < 1.2 * (module - truth).norm()
    assert error < 0.1 * (without - truth).norm()  # the adapter is in them
    torch.testing.assert_close(some, found[wanted], rtol=0.02, atol=0.02)


def test_gradients_are_those_of_the_module(path: Path, tmp_path: Path) -> None:
    base = tiny_base(path)
    jobs = jobs_of(base, varied(tmp_path, batch_size=3, targets=("all-linear",)))
    losses, gradients = gang_gradients(base, jobs, route="packed")
    expected_losses, expected = loop_gradients(base, jobs)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    assert (gradients - expected).norm() < 2e-5 * expected.norm()


def test_in_half_precision_gradients_are_as_exact_as_the_modules(path: Path, tmp_path: Path) -> None:
    base, exact = tiny_base(path, dtype="bfloat16"), tiny_base(path, dtype="bfloat16")
    exact = replace(exact, model=exact.model.float())
    jobs = jobs_of(base, varied(tmp_path, batch_size=3, targets=("all-linear",), dropout=0.0))
    for job in jobs:
        assert job.lora is not None
        for parameter in job.lora.parameters:
            parameter.data = parameter.data.float()
    _, found = gang_gradients(base, jobs, route="packed")
    _, module = loop_gradients(base, jobs)
    _, truth = loop_gradients(exact, jobs)
    assert (found - truth).norm() < 1.2 * (module - truth).norm()
    assert (found - truth).norm() < 0.1 * truth.norm()


def test_every_supported_family_is_tested(tmp_path: Path) -> None:
    made = {type(tiny_base(make(tmp_path / name)).model).__name__ for name, make in MODELS.items()}
    assert made == set(FAMILIES)


@pytest.mark.parametrize("make", [tiny_gpt2, variant(hidden_act="gelu")])
def test_models_that_are_not_known_in_every_detail_stay_modules(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    assert not in_detail(tiny_base(make(tmp_path / "model")).model)


def test_rows_that_feel_a_sliding_window_stay_with_the_module(tmp_path: Path) -> None:
    model = tiny_base(tiny_mistral(tmp_path / "model")).model
    assert tensors_of(model, 8) is not None
    assert tensors_of(model, 9) is None


def test_a_model_with_something_attached_stays_a_module(llama: Any) -> None:
    with attached(llama.model, adapter(llama.model, ["q_proj"])):
        assert tensors_of(llama.model, 8) is None
    assert tensors_of(llama.model, 8) is not None


def test_in_half_precision_large_models_and_dropout_stay_with_the_module(
    llama_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_base(llama_path, dtype="bfloat16").model
    lora = adapter(model, ["q_proj"])
    with attached(model, lora):
        assert tensors_of(model, 8) is not None
    with attached(model, lora, lambda name, x: x):
        assert tensors_of(model, 8) is None
    monkeypatch.setattr(_size, "SMALL_MODEL", 100)
    assert tensors_of(model, 8) is None
