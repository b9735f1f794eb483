"""Weights in 4 or 8 bits: in the key of answers, not of tuning; a missing bitsandbytes is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.models import ModelSpec, load_base, quantization_key
from puretune.models._quantize import try_quantized
from puretune.study import Study, plan_study
from tests.study.studies import small_study


@pytest.fixture
def without_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puretune.models._quantize.find_spec", lambda name: None)


@pytest.mark.usefixtures("without_bitsandbytes")
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_a_missing_library_is_named_before_anything_is_loaded(llama_path: Path, bits: str) -> None:
    with pytest.raises(EnvironmentFault, match=rf"quantization: {bits} needs bitsandbytes.*pip install"):
        load_base(ModelSpec(str(llama_path), quantization=bits))  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_bitsandbytes")
def test_a_study_is_counted_without_the_library_but_not_run(llama_path: Path, tmp_path: Path) -> None:
    model = {"path": "./model", "quantization": "4bit"}
    study = Study.load(small_study(tmp_path, llama_path, model=model))
    assert "needs bitsandbytes" in plan_study(study, dry=True).resolved.lacking[0]
    with pytest.raises(EnvironmentFault, match="needs bitsandbytes"):
        plan_study(study)


@pytest.mark.usefixtures("without_bitsandbytes")
def test_it_is_part_of_the_key_of_answers_and_not_of_adapters(llama_path: Path, tmp_path: Path) -> None:
    plans = [
        plan_study(Study.load(small_study(tmp_path / str(bits), llama_path, model=model)), dry=True)
        for bits in ("4bit", "8bit", None)
        for model in [{"path": "./model", **({"quantization": bits} if bits else {})}]
    ]
    assert len({made.answer[0].key for made in plans}) == 3
    assert len({made.tune[0].key for made in plans}) == 1
    assert quantization_key(ModelSpec("m", quantization="4bit")) == "4bit (bitsandbytes not installed)"
    assert quantization_key(ModelSpec("m")) is None


def test_another_number_of_bits_is_named(llama_path: Path, tmp_path: Path) -> None:
    model = {"path": "./model", "quantization": "3bit"}
    with pytest.raises(InputError, match=r"quantization: '3bit' is not one of 4bit, 8bit"):
        Study.load(small_study(tmp_path, llama_path, model=model))


def test_sizes_that_the_library_has_no_product_for_are_one_message() -> None:
    class Model:
        device = "cpu"

        def __call__(self, input_ids: object) -> None:
            raise RuntimeError("shape '[128, 5]' is invalid for input of size 704")

    with pytest.raises(InputError, match=r"quantization: 4bit: bitsandbytes cannot use this model on cpu"):
        try_quantized(Model(), ModelSpec("m", quantization="4bit"))
