"""The moving average of an adapter's weights: its definition, from every tuner, and after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from puretune.errors import InputError
from puretune.events import Advanced, Event, ignore
from puretune.models import AdapterRef
from puretune.tuning import tuner_named
from tests.tuning.tasks import last, task, tune
from tests.tuning.test_losses import made


def weights(ref: AdapterRef) -> dict[str, torch.Tensor]:
    return dict(load_file(ref.path / "adapter_model.safetensors"))


def test_it_is_the_average_of_the_weights_along_the_way(llama: Any, tmp_path: Path) -> None:
    every = [weights(ref) for _, _, ref in tune(llama, task(tmp_path / "all", keep_every=1))]
    averaged = weights(last(llama, task(tmp_path / "ema", ema=0.8)))
    b = next(name for name in averaged if "lora_B" in name)
    expected = sum(0.2 * 0.8 ** (6 - step) * one[b] for step, one in enumerate(every, 1))
    assert torch.allclose(averaged[b], torch.as_tensor(expected), atol=1e-7)
    assert averaged[b].norm() < 0.95 * every[-1][b].norm()


def test_in_a_gang_each_adapter_has_its_own_decay_or_none(llama: Any, tmp_path: Path) -> None:
    decays = (0.9, None, 0.5)

    def tasks(name: str) -> list[Any]:
        return [
            task(tmp_path / name / str(n), name=str(n), ema=one, keep=(2,)) for n, one in enumerate(decays)
        ]

    together = list(tuner_named("gang").open(llama).tune(tasks("gang"), ignore))
    alone = [weights(ref) for _, _, ref in tune(llama, *tasks("loop"))]
    for (_, _, ref), expected in zip(together, alone, strict=True):
        assert max(float((one - expected[name]).norm()) for name, one in weights(ref).items()) < 1e-4


def interrupt(step: int) -> Callable[[Event], None]:
    def sink(event: Event) -> None:
        if isinstance(event, Advanced) and event.done == step:
            raise KeyboardInterrupt

    return sink


@pytest.mark.parametrize("name", ["loop", "gang", "trainer"])
def test_an_interrupted_training_goes_on_with_its_average(name: str, llama: Any, tmp_path: Path) -> None:
    tuner, changes = tuner_named(name).open(llama), {"ema": 0.7, "checkpoint_every": 2, "dropout": 0.0}
    ((_, _, whole),) = tuner.tune([made(tmp_path / "whole", "all", **changes)], ignore)
    with pytest.raises(KeyboardInterrupt):
        list(tuner.tune([made(tmp_path / "cut", "all", **changes)], interrupt(5)))
    ((_, _, again),) = tuner.tune([made(tmp_path / "cut", "all", **changes)], ignore)
    assert all(torch.equal(one, weights(whole)[key]) for key, one in weights(again).items())


def test_where_all_weights_are_tuned_there_is_none(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no recipe\.ema\. Use the tuner gang, loop or trainer without `method"
    ):
        list(tuner_named("trainer", {"method": "full"}).open(llama).tune([task(tmp_path, ema=0.9)], ignore))
