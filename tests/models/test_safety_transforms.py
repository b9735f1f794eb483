"""Safe LoRA and SafeMERGE against a direct computation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from puretune.errors import InputError
from puretune.lab import model_path
from puretune.models import LazyBase, ModelSpec, fingerprint
from puretune.models.transforms import SafeLora, SafeMerge, Transform, transform_named
from puretune.models.transforms.direction import cosine, merged_where_far, projected
from puretune.models.transforms.low_rank import LowRank

LAYERS = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj")
SIZES = ((6, 5), (8, 5))


def weights(directory: Path, seed: int, scale: float = 1.0) -> Path:
    torch.manual_seed(0)
    base = {f"{name}.weight": torch.randn(size) for name, size in zip(LAYERS, SIZES, strict=True)}
    torch.manual_seed(seed)
    moved = {name: weight + scale * torch.randn_like(weight) for name, weight in base.items()}
    directory.mkdir()
    save_file(moved if seed else base, directory / "model.safetensors")
    return directory


def adapter(seed: int) -> LowRank:
    torch.manual_seed(seed)
    pairs = {
        name: (torch.randn(2, size[1]), torch.randn(size[0], 2))
        for name, size in zip(LAYERS, SIZES, strict=True)
    }
    return LowRank(pairs, {})


def matrix(aligned: Path, unaligned: Path, layer: str) -> torch.Tensor:
    """C = V V' / |V|, made in full."""
    after, before = (load_file(one / "model.safetensors")[f"{layer}.weight"] for one in (aligned, unaligned))
    change = after - before
    return change @ change.T / change.norm()


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    return weights(tmp_path / "aligned", 1), weights(tmp_path / "unaligned", 0)


def cosines(models: tuple[Path, Path], one: LowRank) -> dict[str, float]:
    found = {}
    for layer, (a, b) in one.pairs.items():
        changed, plain = matrix(*models, layer) @ b @ a, b @ a
        found[layer] = float(torch.nn.functional.cosine_similarity(changed.flatten(), plain.flatten(), dim=0))
    return found


def test_the_cosine_is_that_of_the_products(models: tuple[Path, Path]) -> None:
    one = adapter(3)
    for layer, value in cosines(models, one).items():
        a, b = one.pairs[layer]
        assert cosine((a, b), matrix(*models, layer) @ b) == pytest.approx(value, abs=1e-5)
    assert cosine((a, b * 0), b * 0) == 1.0


def test_b_becomes_c_b_where_the_cosine_is_at_most_tau(models: tuple[Path, Path]) -> None:
    one = adapter(3)
    known = cosines(models, one)
    low, high = sorted(known, key=lambda name: known[name])
    made = projected(one, *models, tau=(known[low] + known[high]) / 2)
    torch.testing.assert_close(made.pairs[low][1], matrix(*models, low) @ one.pairs[low][1])
    assert torch.equal(made.pairs[high][1], one.pairs[high][1])
    lowest = projected(one, *models, tau=-2, layers=1)
    torch.testing.assert_close(lowest.pairs[low][1], made.pairs[low][1])
    assert torch.equal(lowest.pairs[high][1], one.pairs[high][1])


def test_c_is_no_projection_and_scales_with_what_alignment_changed(tmp_path: Path) -> None:
    models = weights(tmp_path / "aligned", 1), weights(tmp_path / "unaligned", 0)
    farther = weights(tmp_path / "farther", 1, scale=3.0)
    one = adapter(3)
    once = projected(one, *models, tau=1.0)
    twice = projected(once, *models, tau=1.0)
    for layer in LAYERS:
        assert not torch.allclose(once.pairs[layer][1], twice.pairs[layer][1])
        scaled = projected(one, farther, models[1], tau=1.0).pairs[layer][1]
        torch.testing.assert_close(scaled, 3 * once.pairs[layer][1], rtol=1e-4, atol=1e-4)


def test_safe_merge_adds_the_other_adapter_in_far_layers_only(models: tuple[Path, Path]) -> None:
    one, other = adapter(3), adapter(4)
    known = cosines(models, one)
    low, high = sorted(known, key=lambda name: known[name])
    tau = (known[low] + known[high]) / 2
    made = merged_where_far(one, other, *models, tau, (0.8, 0.2))

    def added(low_rank: LowRank, layer: str) -> torch.Tensor:
        a, b = low_rank.pairs[layer]
        return b @ a

    torch.testing.assert_close(added(made, low), 0.8 * added(one, low) + 0.2 * added(other, low))
    torch.testing.assert_close(added(made, high), added(one, high))
    assert merged_where_far(one, other, *models, -2.0, (0.8, 0.2)) is one


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("safe-lora", {"unaligned": "x", "tau": float("inf")}, "tau"),
        ("safe-lora", {"unaligned": "x", "layers": 0}, "layers is 0"),
        ("safe-lora", {"unalined": "x"}, "Did you mean 'unaligned'"),
        ("safe-merge", {"unaligned": "x"}, "with: Field required"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        transform_named(name, options)


def test_layers_that_the_unaligned_base_does_not_have_are_named(models: tuple[Path, Path]) -> None:
    strange = LowRank({"model.layers.7.self_attn.q_proj": adapter(3).pairs[LAYERS[0]]}, {})
    with pytest.raises(InputError, match=r"no tensor model.layers.7.self_attn.q_proj.weight"):
        projected(strange, *models, tau=0.5)


def test_a_key_has_the_unaligned_bases_fingerprint_and_not_its_path() -> None:
    lab = ModelSpec(str(model_path()))
    for transform in (SafeLora(lab.model), SafeMerge(lab.model, "CL")):
        made: Transform = transform
        assert made.identity()["unaligned"] == fingerprint(lab)


def test_a_study_transforms_towards_what_an_unaligned_base_differs_in(tmp_path: Path) -> None:
    unaligned = tmp_path / "unaligned"
    shutil.copytree(model_path(), unaligned)
    held = load_file(unaligned / "model.safetensors")
    moved = {name: weight + 0.01 * torch.randn_like(weight) for name, weight in held.items()}
    save_file(moved, unaligned / "model.safetensors", metadata={"format": "pt"})
    base = LazyBase(ModelSpec(str(model_path())))
    layer = "model.layers.0.self_attn.q_proj"
    outputs, inputs = held[f"{layer}.weight"].shape
    one = LowRank({layer: (torch.randn(2, inputs), torch.randn(outputs, 2))}, {})
    made = SafeLora(str(unaligned), tau=1.0).open(base)(one)
    change = held[f"{layer}.weight"].float() - moved[f"{layer}.weight"].float()
    wanted = change @ change.T @ one.pairs[layer][1] / change.norm()
    torch.testing.assert_close(made.pairs[layer][1], wanted, rtol=1e-4, atol=1e-4)
