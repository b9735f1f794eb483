"""Passes: cut by memory, retried when it runs out, and only ever on a route that is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.errors import CheckFailed, EnvironmentFault
from puretune.tuning.gang import GangOptions
from puretune.tuning.gang._hooked import AloneRoute, HookedRoute
from puretune.tuning.gang._packed import PackedRoute
from puretune.tuning.gang._passes import Limits, Passes, limits_for, route_for
from puretune.tuning.gang._stack import Stack
from tests.tiny import tiny_base, tiny_llama
from tests.tuning.gang.gangs import (
    distance,
    gang,
    gang_gradients,
    jobs_of,
    loop,
    loop_gradients,
    part_of,
    varied,
)


@pytest.mark.parametrize("limits", [Limits(2, 99, False), Limits(1, 99, False), Limits(3, 1, True)], ids=str)
def test_smaller_passes_give_the_same_gradient(limits: Limits, llama: Any, tmp_path: Path) -> None:
    jobs = jobs_of(llama, varied(tmp_path, batch_size=3))
    _, whole = gang_gradients(llama, jobs)
    _, cut = gang_gradients(llama, jobs, limits)
    assert (whole - cut).norm() < 1e-5 * whole.norm()


def test_little_memory_makes_small_passes_and_the_same_adapters(llama: Any, tmp_path: Path) -> None:
    rows = jobs_of(llama, varied(tmp_path / "rows"))[0].rows
    assert limits_for(llama, rows, 2, GangOptions()).adapters > 100
    sizes = [limits_for(llama, rows, 2, GangOptions(memory_gib=10.0**-n)) for n in range(2, 6)]
    assert [limits.adapters for limits in sizes] == sorted((s.adapters for s in sizes), reverse=True)
    assert sizes[-1] == Limits(1, 1, True)
    small = gang(llama, varied(tmp_path / "small"), memory_gib=1e-5)
    assert distance(small, gang(llama, varied(tmp_path / "large"))) < 1e-5


def test_a_pass_that_does_not_fit_is_tried_again_smaller(llama: Any, tmp_path: Path) -> None:
    jobs = jobs_of(llama, varied(tmp_path, batch_size=3))
    passes = Passes(llama, Stack([job.lora for job in jobs if job.lora]), GangOptions(), Limits(3, 3, False))
    route, sizes = passes.route, []

    class Small:
        """Has room for one row."""

        together = True

        def losses(self, parts: Any, leaves: Any, recompute: bool) -> Any:
            sizes.append(sum(len(part.rows) for part in parts))
            if sizes[-1] > 1:
                raise torch.OutOfMemoryError("out of memory")
            return route.losses(parts, leaves, recompute)

    passes.route, said = Small(), list[str]()
    passes.say = said.append
    _, gradients = passes.gradients([part_of(job) for job in jobs])
    assert passes.limits == Limits(1, 1, False)
    assert sizes[:4] == [9, 6, 3, 2]
    assert said[0] == "out of memory: continuing with adapters x rows per pass: 2 x 3"
    _, expected = loop_gradients(llama, jobs)
    assert (gradients - expected).norm() < 1e-5 * expected.norm()


def test_no_room_for_one_row_is_a_fault_of_the_machine(llama: Any, tmp_path: Path) -> None:
    jobs = jobs_of(llama, varied(tmp_path))
    passes = Passes(llama, Stack([job.lora for job in jobs if job.lora]), GangOptions(), Limits(3, 3, False))

    class Full:
        together = True

        def losses(self, parts: Any, leaves: Any, recompute: bool) -> Any:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes")

    passes.route = Full()
    with pytest.raises(EnvironmentFault, match="not enough memory on cpu for one row"):
        passes.gradients([part_of(job) for job in jobs])


def test_each_model_gets_the_fastest_route_that_is_exact(bases: dict[str, Any]) -> None:
    q = ["model.layers.0.self_attn.q_proj"]
    for family in ("llama", "grouped", "qwen2", "mistral"):
        assert isinstance(route_for(bases[family].model, q, GangOptions()), PackedRoute)
    assert isinstance(route_for(bases["gpt2"].model, q, GangOptions()), HookedRoute)
    assert isinstance(route_for(bases["llama"].model, [*q, "lm_head"], GangOptions()), HookedRoute)
    named = GangOptions(route="packed")
    assert isinstance(route_for(bases["gpt2"].model, q, named), HookedRoute)


def test_angles_that_depend_on_the_batch_are_trained_alone(tmp_path: Path) -> None:
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    base = tiny_base(tiny_llama(tmp_path, rope_parameters=rope))
    assert isinstance(route_for(base.model, ["model.layers.0.self_attn.q_proj"], GangOptions()), AloneRoute)


def test_experts_are_trained_alone_and_equal_the_loop(tmp_path: Path) -> None:
    base = tiny_base(tiny_experts(tmp_path / "experts"))
    more: dict[str, Any] = {"targets": ("q_proj", "shared_expert.up_proj"), "steps": 3}
    alone = loop(base, varied(tmp_path / "loop", **more))
    assert distance(alone, gang(base, varied(tmp_path / "gang", **more))) < 1e-5


def tiny_experts(directory: Path) -> Path:
    """A mixture of experts whose shared one, made of linear layers, sees tokens without their rows."""
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    from tests.small_tokenizers import LLAMA2, sentencepiece
    from tests.tiny import _random, _sizes

    tokenizer = sentencepiece(LLAMA2)
    sizes = {"num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
    config = Qwen2MoeConfig(**_sizes(tokenizer), num_key_value_heads=2, **sizes)
    return _random(Qwen2MoeForCausalLM, config, tokenizer, directory)


def test_a_loss_that_is_no_number_names_its_condition(tmp_path: Path) -> None:
    base = tiny_base(tiny_llama(tmp_path / "model"))
    with torch.no_grad():
        base.model.lm_head.weight.fill_(float("inf"))
    with pytest.raises(CheckFailed, match=r"condition 'text:vanilla 0': the loss is (nan|inf) at step 1"):
        gang(base, varied(tmp_path / "out"))
