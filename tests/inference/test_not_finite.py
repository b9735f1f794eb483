"""Logits that are not finite end the run with the name of who answers; no answer is made of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from puretune.errors import CheckFailed
from puretune.inference import Decoding, LikelihoodRequest, LocalEngine, Request, _vllm_core
from puretune.inference._finite import NotFinite
from puretune.inference._sampling import choose
from puretune.models import AdapterRef, adapter_ref, save_lora
from tests.models.test_adapter import manifest
from tests.models.test_lora import random_lora
from tests.tiny import tiny_base


@pytest.fixture
def overflowing(llama: Any, tmp_path: Path) -> AdapterRef:
    """An adapter of finite numbers that are too large for the model."""
    path = tmp_path / "adapter"
    path.mkdir()
    lora = random_lora(llama.model)
    for parameter in lora.parameters:
        parameter.data *= 1e25
    save_lora(path, lora, llama.model, "base", None)
    return adapter_ref(path)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_answers_end_with_the_adapters_name(
    plain: bool, temperature: float, llama: Any, overflowing: AdapterRef
) -> None:
    asked = [Request("r", (1, 40, 50), overflowing, Decoding(4, temperature))]
    with pytest.raises(CheckFailed, match=f"the adapter {overflowing.path}: the logits are not finite"):
        list(LocalEngine(llama, plain=plain).generate(asked))


def test_the_condition_is_named_where_it_is_recorded(llama: Any, overflowing: AdapterRef) -> None:
    from puretune.models import write_manifest

    write_manifest(overflowing.path, manifest(llama.fingerprint))
    with pytest.raises(CheckFailed, match=r"condition 'CV' \(step 1, .*\): the logits are not finite"):
        list(LocalEngine(llama).generate([Request("r", (1, 40), overflowing, Decoding(4))]))


def test_likelihoods_end_with_the_adapters_name(llama: Any, overflowing: AdapterRef) -> None:
    asked = [LikelihoodRequest("r", (1, 40), (50,), overflowing)]
    with pytest.raises(CheckFailed, match=r"the adapter .*: the logits are not finite"):
        list(LocalEngine(llama).loglikelihood(asked))


def test_in_bfloat16_too(llama_path: Path, overflowing: AdapterRef) -> None:
    base = tiny_base(llama_path, dtype="bfloat16")
    with pytest.raises(CheckFailed, match="not finite"):
        list(LocalEngine(base).generate([Request("r", (1, 40), overflowing, Decoding(4))]))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_one_wrong_logit_is_enough(wrong: float, temperature: float) -> None:
    logits = torch.zeros(3, 5)
    logits[1, 2] = wrong
    drawn = torch.full((3,), 0.5, dtype=torch.float64) if temperature else None
    with pytest.raises(NotFinite):
        choose(logits, Decoding(1, temperature), drawn)


def test_a_token_that_is_ruled_out_is_no_fault() -> None:
    logits = torch.tensor([[-math.inf, 1.0, 2.0]])
    assert choose(logits, Decoding(1), None).tolist() == [2]


@pytest.mark.parametrize(("total", "sound"), [(-3.5, True), (math.nan, False), (None, True)])
def test_vllm_tells_by_the_log_probability(
    total: float | None, sound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = object.__new__(_vllm_core.Core)
    made = SimpleNamespace(token_ids=[5], finish_reason="stop", cumulative_logprob=total)
    monkeypatch.setattr(core, "_generate", lambda *asked: [SimpleNamespace(outputs=[made])], raising=False)
    monkeypatch.setattr(_vllm_core, "_parameters", lambda *asked: None)
    item: Any = SimpleNamespace(prompt=(1,))
    if sound:
        assert list(core.answers([item], [0], frozenset(), None, "")) == [((5,), "stop")]
        return
    with pytest.raises(NotFinite):
        list(core.answers([item], [0], frozenset(), None, ""))


def test_vllm_takes_plain_lora_only(overflowing: AdapterRef) -> None:
    from puretune.errors import InputError
    from puretune.inference import VllmSpec

    VllmSpec().check_adapter(overflowing)
    config = json.loads((overflowing.path / "adapter_config.json").read_text())
    for more in ({"rank_pattern": {"q_proj": 2}}, {"alpha_pattern": {"q_proj": 2}}, {"use_dora": True}):
        (overflowing.path / "adapter_config.json").write_text(json.dumps({**config, **more}))
        with pytest.raises(InputError, match="vLLM's LoRA does not apply"):
            VllmSpec().check_adapter(overflowing)
        VllmSpec(adapters="merged").check_adapter(overflowing)
