"""No tuner keeps numbers that are not finite, trains unscaled in float16, or starts from half an adapter."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.errors import CheckFailed, InputError
from puretune.models import adapter_ref, save_lora
from puretune.tuning import TunerSpec, check_number_format, check_start, loop, tuner_named
from puretune.tuning._average import Average
from puretune.tuning._checks import require_finite
from puretune.tuning._loop_state import save_state
from puretune.tuning.gang import _tuner as gang_tuner
from puretune.tuning.trainer import _sft
from tests.models.test_lora import random_lora
from tests.tiny import tiny_base
from tests.tuning.tasks import SMALL, task

TUNERS = {
    "gang": tuner_named("gang"),
    "loop": tuner_named("loop"),
    "trainer": tuner_named("trainer"),
    "all weights": tuner_named("trainer", {"method": "full"}),
}


@pytest.fixture
def broken_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every update makes the weights NaN, after a loss that was finite."""
    for module in (gang_tuner, loop, _sft):
        monkeypatch.setattr(module, "learning_rate", lambda *asked: math.nan)


@pytest.mark.usefixtures("broken_steps")
@pytest.mark.parametrize("tuner", TUNERS.values(), ids=TUNERS)
def test_weights_that_the_last_update_breaks_are_not_kept(
    tuner: TunerSpec, llama: Any, tmp_path: Path
) -> None:
    asked = task(tmp_path / "a", steps=1, dropout=0.0)
    said = r"condition 'CV': the weights are not finite .* after step 1.*learning_rate \(now 0\.01\)"
    with pytest.raises(CheckFailed, match=said):
        list(tuner.open(llama).tune([asked], lambda event: None))
    assert not list((tmp_path / "a").glob("step-*"))


@pytest.mark.usefixtures("broken_steps")
@pytest.mark.parametrize("name", ["gang", "loop", "trainer"])
def test_broken_weights_are_no_resume_point(name: str, llama: Any, tmp_path: Path) -> None:
    asked = task(tmp_path / "a", steps=3, checkpoint_every=1, dropout=0.0)
    with pytest.raises(CheckFailed, match="after step 1"):
        list(TUNERS[name].open(llama).tune([asked], lambda event: None))
    assert not list((tmp_path / "a").rglob("*.safetensors"))


def test_the_member_of_a_gang_that_breaks_is_named(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        task(tmp_path / "good", "CV seed 0", steps=1),
        task(tmp_path / "bad", "CL seed 1", steps=1, learning_rate=1.0),
    ]
    monkeypatch.setattr(
        gang_tuner, "learning_rate", lambda recipe, *more: math.nan if recipe.learning_rate == 1.0 else 0.1
    )
    with pytest.raises(CheckFailed, match="condition 'CL seed 1'"):
        list(TUNERS["gang"].open(llama).tune(asked, lambda event: None))


def test_what_the_optimiser_remembers_must_be_finite_too(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.tensor([1.0, 1e30, 1.0])
    optimizer.step()
    save_state(tmp_path, [weight], optimizer, Average([weight], None), 1, "x")
    with pytest.raises(CheckFailed, match="after step 1"):
        require_finite(task(tmp_path / "a"), [weight, *optimizer.state[weight].values()], 1)


@pytest.mark.parametrize("name", TUNERS)
def test_float16_is_refused_where_the_loss_is_not_scaled(name: str, llama_path: Path, tmp_path: Path) -> None:
    base = tiny_base(llama_path, dtype="float16")
    with pytest.raises(InputError, match="does not scale its loss"):
        list(TUNERS[name].open(base).tune([task(tmp_path / "a")], lambda event: None))


@pytest.mark.parametrize(("tuner", "device", "several"), [("gang", "cuda", False), ("trainer", "cuda", True)])
def test_float16_is_refused_on_a_gpu_too(tuner: str, device: str, several: bool) -> None:
    with pytest.raises(InputError, match="does not scale its loss"):
        check_number_format(tuner, "float16", device, several)
    check_number_format("trainer", "float16", "cuda:0")
    check_number_format(tuner, "bfloat16", device, several)


def test_tuning_starts_from_plain_lora_of_the_same_rank_and_alpha(llama: Any, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    save_lora(path, random_lora(llama.model, alpha=8), llama.model, "base", None)
    start = adapter_ref(path)
    check_start(start, SMALL)
    for wrong in (replace(SMALL, rank=8), replace(SMALL, alpha=16)):
        with pytest.raises(InputError, match=r"has rank 4 and alpha 8.*Set the same in the recipe"):
            check_start(start, wrong)
    with pytest.raises(InputError, match="starts from the adapter"):
        check_start(start, SMALL, all_weights=True)
    config = (path / "adapter_config.json").read_text()
    (path / "adapter_config.json").write_text(config.replace('"bias": "none"', '"bias": "all"'))
    with pytest.raises(InputError, match=r'not a plain LoRA adapter \(bias "all"\)'):
        check_start(start, SMALL)
