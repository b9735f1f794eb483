"""The vLLM engine before it is started: planning works without vLLM, and says what a run lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.inference import VllmSpec, engine_spec
from puretune.inference._vllm_core import Weights, lora_room
from puretune.study import Study, plan_study
from tests.study.studies import small_model, small_study


@pytest.fixture
def without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puretune.inference.vllm.find_spec", lambda name: None)


def test_options_are_in_the_key_with_the_versions_of_engine_and_library() -> None:
    identity = engine_spec("vllm", {"tensor_parallel": 2}).identity()
    assert (identity["tensor_parallel"], identity["adapters"]) == (2, "lora")
    assert identity["version"].startswith("2 (vllm ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tensor_parallel": 0}, "tensor_parallel: 0 is out of range"),
        ({"memory": 1.5}, r"memory: 1\.5 is out of range"),
        ({"adapters": "both"}, "adapters: .*'lora' or 'merged'"),
        ({"tensor_paralel": 2}, "Did you mean 'tensor_parallel'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        engine_spec("vllm", options)


@pytest.mark.usefixtures("without_vllm")
def test_a_study_is_planned_without_vllm_but_not_run(tmp_path: Path) -> None:
    study = Study.load(small_study(tmp_path, small_model(tmp_path / "base"), engine="vllm"))
    assert "vLLM is not installed" in plan_study(study, dry=True).resolved.lacking[0]
    with pytest.raises(EnvironmentFault, match="Install `vllm`"):
        plan_study(study)


def test_room_for_adapters_is_the_least_that_vllm_can_make() -> None:
    assert [lora_room(rank) for rank in (1, 8, 9, 200, 512)] == [8, 8, 16, 256, 512]
    with pytest.raises(InputError, match="adapters: merged"):
        lora_room(513)


def test_a_running_engine_is_kept_for_adapters_that_fit() -> None:
    running = Weights(Path("a"), 16, frozenset({"q_proj", "v_proj"}))
    assert running.serve(Weights(Path("a"), 8))
    assert not running.serve(Weights(Path("a"), 32))
    assert not running.serve(Weights(Path("b"), 8))
    assert running.serve(Weights(Path("a"), 8, frozenset({"q_proj"})))
    assert not running.serve(Weights(Path("a"), 8, frozenset({"lm_head"})))


def test_defaults_leave_room_for_the_papers_adapters() -> None:
    assert VllmSpec().lora_rank >= 8
