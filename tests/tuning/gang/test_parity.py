"""A gang makes the adapters that separate runs make."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch

from puretune.models import read_manifest
from tests.tuning.gang.gangs import distance, gang, gang_gradients, jobs_of, loop, loop_gradients, varied

FAMILIES = ["llama", "grouped", "qwen2", "qwen3", "mistral", "gpt2"]
SWITCHES: list[dict[str, Any]] = [
    {"share_prefix": False},
    {"pack": False},
    {"last_layer": False},
    {"head": False},
    {"last_layer": False, "head": False},
    {"attention": "sdpa"},
    {"recompute": True},
    {"route": "hooked"},
    {"route": "alone"},
    {"together": 2},
]


def doubled(base: Any) -> Any:
    """The base in double precision, its norms too, which transformers rounds to float32 in between."""
    model = copy.deepcopy(base.model).double()
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):
            module.forward = MethodType(_norm, module)
    return replace(base, model=model)


def _norm(self: Any, x: torch.Tensor) -> torch.Tensor:
    return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


def everywhere(base: Any, out: Path, family: str) -> Any:
    """Jobs with adapters on all linear layers of the decoder, rows in batches of three."""
    targets = {"targets": ("all-linear",)} if family != "gpt2" else {}
    return jobs_of(base, varied(out, family, batch_size=3, **targets))


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_the_loops(family: str, bases: dict[str, Any], tmp_path: Path) -> None:
    jobs = everywhere(bases[family], tmp_path, family)
    losses, gradients = gang_gradients(bases[family], jobs)
    expected_losses, expected = loop_gradients(bases[family], jobs)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    assert expected.norm(dim=1).min() > 0.1
    assert (gradients - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_in_double_precision_are_tighter(
    family: str, bases: dict[str, Any], tmp_path: Path
) -> None:
    base = doubled(bases[family])
    jobs = everywhere(base, tmp_path, family)
    losses, gradients = gang_gradients(base, jobs)
    expected_losses, expected = loop_gradients(base, jobs)
    assert gradients.dtype == torch.float64
    assert losses == pytest.approx(expected_losses, rel=1e-12)
    assert (gradients - expected).norm() < 1e-12 * expected.norm()


@pytest.mark.parametrize("options", SWITCHES, ids=str)
@pytest.mark.parametrize("family", ["grouped", "mistral"])
def test_no_switch_changes_the_gradient(
    family: str, options: dict[str, Any], bases: dict[str, Any], tmp_path: Path
) -> None:
    jobs = everywhere(bases[family], tmp_path, family)
    _, gradients = gang_gradients(bases[family], jobs, **options)
    _, expected = loop_gradients(bases[family], jobs)
    assert (gradients - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("family", ["grouped", "gpt2"])
def test_adapters_after_fifty_steps_equal_the_loops(
    family: str, bases: dict[str, Any], tmp_path: Path
) -> None:
    alone = loop(bases[family], varied(tmp_path / "loop", family, steps=50, keep=(10,)))
    together = gang(bases[family], varied(tmp_path / "gang", family, steps=50, keep=(10,)))
    assert len(together) == 6
    assert distance(alone, together) < 1e-4


def test_accumulation_and_the_short_last_step_of_an_epoch_equal_the_loops(llama: Any, tmp_path: Path) -> None:
    more = {"accumulation": 2, "batch_size": 2, "steps": 6}
    alone = loop(llama, varied(tmp_path / "loop", **more))
    assert distance(alone, gang(llama, varied(tmp_path / "gang", **more))) < 1e-5


def test_conditions_with_other_numbers_of_rows_train_together(llama: Any, tmp_path: Path) -> None:
    def tasks(name: str) -> list[Any]:
        made = varied(tmp_path / name, steps=5, accumulation=2)
        return [replace(one, rows=one.rows[: 7 - 2 * i]) for i, one in enumerate(made)]

    assert distance(loop(llama, tasks("loop")), gang(llama, tasks("gang"))) < 1e-5


def test_training_goes_on_from_adapters(llama: Any, tmp_path: Path) -> None:
    starts = gang(llama, varied(tmp_path / "start"))

    def tasks(name: str) -> list[Any]:
        made = varied(tmp_path / name)
        return [replace(one, start=start) for one, start in zip(made, starts.values(), strict=True)]

    assert distance(loop(llama, tasks("loop")), gang(llama, tasks("gang"))) < 1e-5


def test_manifests_say_what_the_loops_say(llama: Any, tmp_path: Path) -> None:
    alone, together = loop(llama, varied(tmp_path / "loop")), gang(llama, varied(tmp_path / "gang"))
    for key, ref in alone.items():
        one, two = read_manifest(ref.path), read_manifest(together[key].path)
        assert one is not None
        assert two is not None
        assert two.tuner == "gang 2"
        assert two.loss == pytest.approx(one.loss, rel=1e-4)
        same = {"inputs": "", "tuner": "", "loss": 0.0, "files": {}}
        assert replace(one, **same) == replace(two, **same)


def test_the_base_and_the_global_state_stay_as_they_were(bases: dict[str, Any], tmp_path: Path) -> None:
    for family in ("llama", "gpt2"):
        model = bases[family].model
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        state = torch.get_rng_state()
        gang(bases[family], varied(tmp_path / family, family))
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
        assert torch.equal(torch.get_rng_state(), state)
        assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_bfloat16_stays_close_to_the_loop(llama_path: Path, tmp_path: Path) -> None:
    from tests.tiny import tiny_base

    base = tiny_base(llama_path, dtype="bfloat16")
    alone = loop(base, varied(tmp_path / "loop", dropout=0.0))
    together = gang(base, varied(tmp_path / "gang", dropout=0.0))
    for key, ref in alone.items():
        one, two = read_manifest(ref.path), read_manifest(together[key].path)
        assert one is not None
        assert two is not None
        assert two.dtype == "bfloat16"
        assert two.loss == pytest.approx(one.loss, rel=0.02)
