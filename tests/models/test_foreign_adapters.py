"""Adapters of other tools: each kind answers as with PEFT, and leaves the base as it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from puretune.errors import InputError
from puretune.inference._packed_rows import tensors_of
from puretune.models import adapter_ref, applied, load_lora, read_adapter, save_merged
from tests.models.test_lora import logits, weights_digest
from tests.tiny import tiny_base, tiny_llama, tiny_qwen2

WEIGHTS = "adapter_model.safetensors"
LORA: dict[str, dict[str, Any]] = {
    "plain": {},
    "gaussian": {"init_lora_weights": "gaussian"},
    "rslora": {"use_rslora": True},
    "pattern of layers": {"target_modules": r".*\.(q_proj|down_proj)"},
    "left-out layers": {"exclude_modules": ["layers.1.mlp.down_proj"]},
    "first layer": {"layers_to_transform": [0]},
    "rank pattern": {"rank_pattern": {"layers.0.self_attn.q_proj": 2}},
    "alpha pattern": {"alpha_pattern": {"down_proj": 1}},
    "dora": {"use_dora": True},
    "norm": {"modules_to_save": ["norm"]},
    "head": {"modules_to_save": ["lm_head"]},
    "embeddings": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "biases": {"bias": "all"},
    "own biases": {"bias": "lora_only"},
    "bias of B": {"lora_bias": True},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "embedding alone": {"target_modules": ["embed_tokens"]},
    "replicated layers": {"layer_replication": [[0, 2], [1, 2]]},
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "eva": {"init_lora_weights": "eva", "eva_config": peft.EvaConfig()},
    "parameters": {"target_modules": [], "target_parameters": ["self_attn.q_proj.weight"]},
    "tokens": {"trainable_token_indices": [5, 9]},
}
OTHERS: dict[str, peft.PeftConfig] = {
    "ia3": peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "loha": peft.LoHaConfig(r=4, alpha=8, target_modules=["q_proj", "down_proj"]),
    "lokr": peft.LoKrConfig(r=4, alpha=8, target_modules=["q_proj", "down_proj"]),
    "norms": peft.LNTuningConfig(target_modules=["input_layernorm"]),
    "oft": peft.OFTConfig(oft_block_size=4, r=0, target_modules=["q_proj"]),
}
MERGEABLE = ("rslora", "rank pattern", "dora", "pissa")
FAMILIES: dict[str, Callable[[Path], Path]] = {"llama": tiny_llama, "tied": tiny_qwen2}


def config(kind: str) -> peft.PeftConfig:
    if kind in OTHERS:
        return OTHERS[kind]
    return peft.LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], **LORA[kind]}
    )


def trained(base: Any, kind: str, directory: Path) -> Path:
    """An adapter of a kind, every trained number of it moved away from where it started."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wrapped = peft.get_peft_model(base.model, config(kind))
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.data += 0.05 * torch.randn_like(parameter)
        wrapped.save_pretrained(str(directory))
    return directory


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[request.param](tmp_path_factory.mktemp("model") / request.param)


@pytest.mark.parametrize("kind", [*LORA, *OTHERS])
def test_every_kind_answers_as_with_peft_and_leaves_the_base_alone(
    kind: str, model: Path, tmp_path: Path
) -> None:
    if (kind, model.name) == ("replicated layers", "tied"):
        pytest.skip("PEFT itself cannot: Qwen 2 keeps a list of its layers' kinds")
    path = trained(tiny_base(model), kind, tmp_path / "adapter")
    expected = logits(peft.PeftModel.from_pretrained(tiny_base(model).model, str(path)))
    base = tiny_base(model)
    before, digest, modules = logits(base.model), weights_digest(base.model), list(base.model.modules())
    layers = base.model.config.num_hidden_layers
    with applied(base, adapter_ref(path)) as adapted:
        torch.testing.assert_close(logits(adapted), expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(expected, before, atol=1e-3)
    assert torch.equal(logits(base.model), before)
    assert weights_digest(base.model) == digest
    assert [id(one) for one in base.model.modules()] == [id(one) for one in modules]
    assert base.model.config.num_hidden_layers == layers
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_what_peft_makes_of_a_model_and_the_model_cannot_be_is_named(tmp_path: Path) -> None:
    base = tiny_base(tiny_qwen2(tmp_path / "model"))
    path = trained(tiny_base(base.path), "replicated layers", tmp_path / "adapter")
    with (
        pytest.raises(InputError, match=r"PEFT cannot put this adapter \(layer_replication .*list index"),
        applied(base, adapter_ref(path)),
    ):
        pass


@pytest.mark.parametrize("kind", MERGEABLE)
def test_kinds_that_change_linear_layers_alone_can_be_merged(
    kind: str, llama_path: Path, tmp_path: Path
) -> None:
    base, path = tiny_base(llama_path), trained(tiny_base(llama_path), kind, tmp_path / "adapter")
    with applied(base, adapter_ref(path)) as adapted:
        expected = logits(adapted)
    save_merged(base, adapter_ref(path), tmp_path / "merged")
    base.tokenizer.save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(tiny_base(tmp_path / "merged").model), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["norm", "biases", "bias of B", "embedding", "replicated layers", "ia3"])
def test_other_kinds_are_not_merged(kind: str, llama_path: Path, tmp_path: Path) -> None:
    base, path = tiny_base(llama_path), trained(tiny_base(llama_path), kind, tmp_path / "adapter")
    with pytest.raises(InputError, match="not the same once it is merged"):
        save_merged(base, adapter_ref(path), tmp_path / "merged")


@pytest.mark.parametrize("saved", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_format_is_read(saved: torch.dtype, llama: Any, adapter: Path) -> None:
    tensors = load_file(adapter / WEIGHTS)
    save_file({name: tensor.to(saved) for name, tensor in tensors.items()}, adapter / WEIGHTS)
    lora = load_lora(adapter, llama.model)
    assert {parameter.dtype for parameter in lora.parameters} == {torch.float32}


def test_embeddings_that_peft_saved_beside_an_adapter_are_applied(model: Path, tmp_path: Path) -> None:
    trained_base = tiny_base(model)
    wrapped = peft.get_peft_model(trained_base.model, config("plain"))
    wrapped.get_input_embeddings().weight.data += 0.1
    wrapped.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=True)
    expected = logits(peft.PeftModel.from_pretrained(tiny_base(model).model, str(tmp_path / "adapter")))
    base = tiny_base(model)
    before = logits(base.model)
    with applied(base, adapter_ref(tmp_path / "adapter")) as adapted:
        torch.testing.assert_close(logits(adapted), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(logits(base.model), before)
    assert not torch.allclose(before, expected, atol=1e-3)


@pytest.fixture
def adapter(llama_path: Path, tmp_path: Path) -> Path:
    return trained(tiny_base(llama_path), "plain", tmp_path / "good")


A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
FILES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = {
    "nothing": (lambda t: {}, "no tensors"),
    "only A": (lambda t: {k: v for k, v in t.items() if "lora_A" in k}, "is there without"),
    "only B": (lambda t: {k: v for k, v in t.items() if "lora_B" in k}, "is there without"),
    "zero3": (lambda t: {k: torch.zeros(0) for k in t}, r"is empty \(shape \[0\]\).*ZeRO-3"),
    "compiled": (
        lambda t: {k.replace("model.model", "model._orig_mod.model"): v for k, v in t.items()},
        "compiled",
    ),
    "default": (lambda t: {k.replace(".weight", ".default.weight"): v for k, v in t.items()}, "`.default`"),
    "bare": (lambda t: {k.removeprefix("base_model.model."): v for k, v in t.items()}, "Put `base_model"),
    "nan": (
        lambda t: {**t, A: t[A] * math.nan},
        r"128 of 128 numbers in .*q_proj.lora_A.weight are not finite",
    ),
    "one infinity": (
        lambda t: {**t, A: t[A].bfloat16().index_fill(1, torch.tensor(3), math.inf)},
        "4 of 128",
    ),
    "whole numbers": (lambda t: {k: v.to(torch.int32) for k, v in t.items()}, "holds I32"),
    "flat": (lambda t: {k: v.flatten() for k, v in t.items()}, "it should be"),
    "rank": (lambda t: {**t, A: t[A][:2]}, r"is \[2, 32\], and adapter_config.json says r: 4"),
    "a layer missing": (
        lambda t: {k: v for k, v in t.items() if "layers.1.mlp" not in k},
        "targets 1 layers",
    ),
    "head beside it": (lambda t: {**t, "base_model.model.lm_head.weight": torch.ones(320, 32)}, "lm_head"),
    "something else": (
        lambda t: {**t, "base_model.model.extra.weight": torch.ones(2)},
        "does not use .*extra",
    ),
}


@pytest.mark.parametrize("fault", FILES)
def test_an_adapter_is_applied_in_full_or_refused(fault: str, llama_path: Path, adapter: Path) -> None:
    change, said = FILES[fault]
    tensors = {name: tensor.contiguous() for name, tensor in change(load_file(adapter / WEIGHTS)).items()}
    save_file(tensors, adapter / WEIGHTS)
    with pytest.raises(InputError, match=said), applied(tiny_base(llama_path), adapter_ref(adapter)):
        pass


CONFIGS: list[tuple[dict[str, Any], str]] = [
    *[({"r": wrong}, "r is ") for wrong in (0, -1, True, 4.0, "4", None, 10**9)],
    *[({"lora_alpha": wrong}, "lora_alpha is ") for wrong in (math.nan, math.inf, None, "8", True, 0)],
    ({"r": 8}, "says r: 8"),
    ({"use_rslora": 1}, "use_rslora is 1"),
    ({"target_modules": []}, "target_modules is"),
    ({"target_modules": None}, "target_modules is null"),
    ({"target_modules": ["q_proj"]}, "does not target 2 layers"),
    ({"target_modules": "(("}, "PEFT cannot read target_modules"),
    ({"task_type": "SEQ_CLS"}, "task_type"),
    ({"peft_type": "IA3"}, "has no field"),
    ({"peft_type": "VERA"}, 'peft_type "VERA" is not supported'),
    ({"peft_type": None}, "peft_type null is not supported"),
    ({"peft_type": "PROMPT_TUNING"}, "peft_type is PROMPT_TUNING"),
    ({"init_lora_weights": "corda"}, 'init_lora_weights "corda" is not supported.*plain LoRA'),
    ({"init_lora_weights": "loftq"}, r"init_lora_weights \"loftq\" is not supported.*merge_and_unload"),
    ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights"),
    ({"alora_invocation_tokens": [4]}, "alora_invocation_tokens"),
    ({"use_qalora": True}, "use_qalora true is not supported"),
    ({"arrow_config": {"top_k": 2}}, "arrow_config"),
    ({"modules_to_save": ["lm_head"]}, "lm_head"),
    ({"use_dora": True}, "lora_magnitude_vector is missing"),
    ({"rank_pattern": {"q_proj": 2}}, "PEFT cannot put this adapter"),
    ({"kind_of_2031": "deep"}, "has no field 'kind_of_2031'"),
]


@pytest.mark.parametrize(("changes", "said"), CONFIGS, ids=[str(changes) for changes, _ in CONFIGS])
def test_a_configuration_that_is_not_understood_is_refused(
    changes: dict[str, Any], said: str, llama_path: Path, adapter: Path
) -> None:
    content = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**content, **changes}))
    with pytest.raises(InputError, match=said), applied(tiny_base(llama_path), adapter_ref(adapter)):
        pass


@pytest.mark.parametrize("key", ["r", "lora_alpha", "target_modules", "peft_type"])
def test_a_field_that_decides_and_is_missing_is_named(key: str, adapter: Path) -> None:
    content = json.loads((adapter / "adapter_config.json").read_text())
    del content[key]
    (adapter / "adapter_config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"adapter_config.json: {key}"):
        read_adapter(adapter)


@pytest.mark.parametrize("content", ["{", "[]", "3", "null", "[" * 5000])
def test_a_configuration_that_is_no_mapping_is_named(content: str, adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text(content)
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        read_adapter(adapter)


def test_fields_that_are_off_may_be_unknown(adapter: Path) -> None:
    content = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**content, "of_2031": None, "of_2032": False}))
    assert read_adapter(adapter).more is None


def test_a_plain_model_of_tensors_is_not_made_of_a_model_with_foreign_layers(
    llama_path: Path, tmp_path: Path
) -> None:
    base, path = (
        tiny_base(llama_path),
        trained(tiny_base(llama_path), "embedding alone", tmp_path / "adapter"),
    )
    with applied(base, adapter_ref(path)) as adapted:
        assert tensors_of(adapted, 16) is None
    assert tensors_of(base.model, 16) is not None
