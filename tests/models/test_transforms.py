"""Transforms against their definitions: what an adapter adds to a layer is s B A, and nothing else counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from puretune.errors import InputError
from puretune.models import LazyBase, ModelSpec
from puretune.models.transforms import Merge, Scale, Transform, transform_named
from puretune.models.transforms.low_rank import LowRank, read_low_rank, write_low_rank

BASE = LazyBase(ModelSpec("nobody loads it"))
CONFIG = LlamaConfig(
    vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
)


def base() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(CONFIG)


def saved(directory: Path, seed: int, **fields: Any) -> Path:
    """An adapter that PEFT made and wrote, its B away from zero."""
    model = get_peft_model(base(), LoraConfig(**{"target_modules": ["q_proj", "v_proj"], **fields}))
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(directory)
    return directory


def added(directory: Path) -> dict[str, torch.Tensor]:
    """What PEFT adds to each weight of the base for the adapter in a directory."""
    plain = dict(base().named_parameters())
    merged = PeftModel.from_pretrained(base(), str(directory)).merge_and_unload()
    return {name: (weight - plain[name]).detach() for name, weight in merged.named_parameters()}


def written(directory: Path, adapter: LowRank) -> Path:
    directory.mkdir()
    write_low_rank(directory, adapter)
    return directory


def changed(tmp_path: Path, transform: Transform, *adapters: Path) -> dict[str, torch.Tensor]:
    made = transform.open(BASE)(*(read_low_rank(path) for path in adapters))
    return added(written(tmp_path / "made", made))


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-5, atol=1e-5)


KINDS: list[dict[str, Any]] = [
    {"r": 2, "lora_alpha": 8},
    {"r": 4, "lora_alpha": 2, "use_rslora": True},
    {
        "r": 2,
        "lora_alpha": 8,
        "rank_pattern": {"q_proj": 5},
        "alpha_pattern": {"1.self_attn.v_proj": 3},
    },
]


@pytest.mark.parametrize("fields", KINDS)
@pytest.mark.parametrize("alpha", [0.5, 1.0, -2.0])
def test_scale_multiplies_what_is_added_to_each_layer(
    tmp_path: Path, fields: dict[str, Any], alpha: float
) -> None:
    one = saved(tmp_path / "one", 1, **fields)
    made = changed(tmp_path, Scale(alpha), one)
    assert max(float(tensor.abs().max()) for tensor in made.values()) > 0.1
    assert_close(made, {name: alpha * tensor for name, tensor in added(one).items()})


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", [*KINDS, {"r": 3, "target_modules": ["v_proj", "down_proj"]}])
def test_merge_is_the_weighted_sum_whatever_the_ranks_and_layers(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    one, other = saved(tmp_path / "one", 1, **first), saved(tmp_path / "other", 2, **second)
    made = changed(tmp_path, Merge(str(other), (0.8, 0.2)), one, other)
    sums = {name: 0.8 * tensor + 0.2 * added(other)[name] for name, tensor in added(one).items()}
    assert_close(made, sums)


def test_nothing_is_left_of_an_adapter_scaled_by_zero(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", 1, r=2)
    assert all(not tensor.any() for tensor in changed(tmp_path, Scale(0.0), one).values())


def test_what_is_written_is_plain_lora_and_can_be_transformed_again(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", 1, **KINDS[2])
    half = Scale(0.5).open(BASE)
    again = half(read_low_rank(written(tmp_path / "half", half(read_low_rank(one)))))
    assert_close(added(written(tmp_path / "quarter", again)), {name: t / 4 for name, t in added(one).items()})
    config = json.loads((tmp_path / "half" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (5, 5)


def test_an_adapter_that_is_more_than_lora_is_refused(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", 1, use_dora=True)
    with pytest.raises(InputError, match=r"not a plain LoRA adapter \(use_dora true\), so it cannot be"):
        read_low_rank(one)


def test_adapters_of_models_of_other_sizes_are_not_merged(tmp_path: Path) -> None:
    one = read_low_rank(saved(tmp_path / "one", 1))
    narrow = LowRank({name: (a[:, 1:], b) for name, (a, b) in one.pairs.items()}, one.config)
    with pytest.raises(InputError, match=r"different base models cannot be merged: .* is \[16, 16\] and"):
        Merge("other").open(BASE)(one, narrow)


def test_the_key_says_what_is_done_and_leaves_the_other_adapter_to_its_own_key() -> None:
    assert Scale(0.5).identity() == {"name": "scale", "version": "1", "alpha": 0.5}
    assert Merge("a", (1, 2)).identity() == Merge("b", (1, 2)).identity() != Merge("a", (2, 1)).identity()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("skale", {"alpha": 1.0}, "unknown transform 'skale'. Did you mean 'scale'?"),
        ("scale", {"alfa": 1.0}, "transform 'scale': unknown option 'alfa'. Did you mean 'alpha'?"),
        ("scale", {"alpha": "big"}, "transform 'scale': alpha: "),
        ("scale", {}, "transform 'scale': alpha: "),
        ("merge", {"wiht": "CV"}, "transform 'merge': unknown option 'wiht'. Did you mean 'with'?"),
        ("merge", {"with": "CV", "weights": [1]}, "transform 'merge': weights"),
        ("merge", {"weights": [1, 1]}, "transform 'merge': with: "),
    ],
)
def test_wrong_options_name_the_transform_and_the_option(
    name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as error:
        transform_named(name, options)
    assert said in str(error.value)


def test_options_are_given_as_the_study_file_writes_them() -> None:
    assert transform_named("merge", {"with": "CV", "weights": [0.8, 0.2]}) == Merge("CV", (0.8, 0.2))
    assert transform_named("merge", {"with": "CV"}).others == ("CV",)
