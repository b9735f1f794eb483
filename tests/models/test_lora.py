"""LoRA on a model and off it again, in PEFT's format."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from puretune.errors import InputError
from puretune.models import (
    Lora,
    adapter_ref,
    applied,
    attached,
    load_lora,
    merged,
    new_lora,
    save_lora,
    target_modules,
)
from tests.tiny import tiny_base, tiny_gpt2

IDS = torch.tensor([[1, 5, 9, 40, 7, 300, 12]])


def random_lora(model: Any, targets: tuple[str, ...] = ("q_proj", "v_proj"), alpha: float = 16.0) -> Lora:
    generator = torch.Generator().manual_seed(3)
    lora = new_lora(model, 4, alpha, targets, generator)
    for _, b in lora.pairs.values():
        b.data.normal_(std=0.1, generator=generator)
    return lora


def saved(base: Any, directory: Path, **how: Any) -> Path:
    directory.mkdir()
    save_lora(directory, random_lora(base.model, **how), base.model, base.spec.model, None)
    return directory


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


def weights_digest(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def test_a_fresh_adapter_changes_nothing(llama: Any) -> None:
    lora = new_lora(llama.model, 4, 16, ["q_proj"], torch.Generator().manual_seed(0))
    before = logits(llama.model)
    with attached(llama.model, lora):
        assert torch.equal(logits(llama.model), before)


@pytest.mark.parametrize("way", [attached, merged])
def test_an_adapter_comes_off_without_a_trace(way: Any, llama: Any) -> None:
    before, digest, modules = logits(llama.model), weights_digest(llama.model), list(llama.model.modules())
    with way(llama.model, random_lora(llama.model)):
        assert not torch.allclose(logits(llama.model), before)
    assert torch.equal(logits(llama.model), before)
    assert weights_digest(llama.model) == digest
    assert [id(m) for m in llama.model.modules()] == [id(m) for m in modules]
    assert not any(p.requires_grad for p in llama.model.parameters())


def test_an_adapter_comes_off_after_an_error(llama: Any) -> None:
    before = logits(llama.model)
    with pytest.raises(ZeroDivisionError), merged(llama.model, random_lora(llama.model)):
        _ = 1 / 0
    assert torch.equal(logits(llama.model), before)


def test_merged_and_attached_agree(llama: Any) -> None:
    lora = random_lora(llama.model)
    with attached(llama.model, lora):
        beside = logits(llama.model)
    with merged(llama.model, lora):
        torch.testing.assert_close(logits(llama.model), beside, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("all-linear",), ("layers.1.mlp.up_proj",)])
def test_peft_reads_what_is_saved(targets: tuple[str, ...], llama_path: Path, tmp_path: Path) -> None:
    base = tiny_base(llama_path)
    path = saved(base, tmp_path / "a", targets=targets)
    with applied(base, adapter_ref(path)) as model:
        ours = logits(model)
    theirs = logits(peft.PeftModel.from_pretrained(base.model, str(path)))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_transposed_layers_work_like_peft(tmp_path: Path) -> None:
    base = tiny_base(tiny_gpt2(tmp_path / "gpt2"))
    path = saved(base, tmp_path / "a", targets=("c_attn", "c_fc"))
    with applied(base, adapter_ref(path)) as model:
        ours = logits(model)
    theirs = logits(peft.PeftModel.from_pretrained(base.model, str(path)))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "extra",
    [{}, {"use_rslora": True}, {"use_dora": True}, {"rank_pattern": {"layers.0.self_attn.q_proj": 2}}],
)
def test_what_peft_saved_is_applied_as_peft_does(
    extra: dict[str, Any], llama_path: Path, tmp_path: Path
) -> None:
    base = tiny_base(llama_path)
    before, modules = logits(base.model), len(list(base.model.modules()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = peft.LoraConfig(
            r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], init_lora_weights=False, **extra
        )
        wrapped = peft.get_peft_model(base.model, config).eval()
    theirs = logits(wrapped)
    wrapped.save_pretrained(str(tmp_path / "a"))
    wrapped.unload()
    with applied(base, adapter_ref(tmp_path / "a")) as model:
        torch.testing.assert_close(logits(model), theirs, rtol=1e-4, atol=1e-4)
    assert torch.equal(logits(base.model), before)
    assert len(list(base.model.modules())) == modules


def test_in_half_precision_the_weights_stay_and_the_adapter_works(llama_path: Path, tmp_path: Path) -> None:
    base = tiny_base(llama_path, dtype="bfloat16")
    weight, before = base.model.model.layers[0].self_attn.q_proj.weight, logits(base.model)
    with applied(base, adapter_ref(saved(base, tmp_path / "a"))) as model:
        assert model.model.layers[0].self_attn.q_proj.weight is weight
        assert not torch.equal(logits(model), before)
    assert torch.equal(logits(base.model), before)


def test_a_full_checkpoint_is_a_model_of_its_own(llama: Any, llama_path: Path) -> None:
    ref = adapter_ref(llama_path)
    assert ref.kind == "checkpoint"
    with applied(llama, ref) as model:
        assert model is not llama.model
        assert torch.equal(logits(model), logits(llama.model))


def test_saving_and_loading_gives_the_same_matrices(llama: Any, tmp_path: Path) -> None:
    loaded = load_lora(saved(llama, tmp_path / "a"), llama.model)
    for name, pair in random_lora(llama.model).pairs.items():
        assert all(torch.equal(x, y) for x, y in zip(pair, loaded.pairs[name], strict=True))


def test_initial_weights_depend_on_the_generator_alone(llama: Any) -> None:
    torch.manual_seed(1)
    one = new_lora(llama.model, 4, 8, ["q_proj"], torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    two = new_lora(llama.model, 4, 8, ["q_proj"], torch.Generator().manual_seed(5))
    assert all(torch.equal(x, y) for x, y in zip(one.parameters, two.parameters, strict=True))


def test_all_linear_leaves_the_head_alone(llama: Any) -> None:
    assert len(target_modules(llama.model, ["all-linear"])) == 2 * 7
    assert "lm_head" not in target_modules(llama.model, ["all-linear"])


def test_an_unknown_target_gets_the_nearest_layer(llama: Any) -> None:
    with pytest.raises(InputError, match=r"unknown target layer 'q_pro'\. Did you mean 'q_proj'"):
        target_modules(llama.model, ["q_pro"])


def test_an_adapter_of_another_shape_is_refused(llama: Any, tmp_path: Path) -> None:
    other = tiny_base(tiny_gpt2(tmp_path / "gpt2"))
    path = saved(other, tmp_path / "a", targets=("c_attn",))
    with pytest.raises(InputError, match="made for another base model"):
        load_lora(path, llama.model)


def test_training_does_not_go_on_from_peculiar_adapters(llama: Any, tmp_path: Path) -> None:
    path = saved(llama, tmp_path / "a")
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    with pytest.raises(InputError, match="not a plain LoRA adapter"):
        load_lora(path, llama.model)


def test_a_damaged_adapter_is_an_input_error(llama: Any, tmp_path: Path) -> None:
    path = saved(llama, tmp_path / "a")
    (path / "adapter_model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="not a complete safetensors file"):
        load_lora(path, llama.model)
