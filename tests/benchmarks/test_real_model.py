"""The benchmark of real sizes, at small ones."""

from __future__ import annotations

import pytest

from benchmarks import real_model


@pytest.mark.parametrize("dtype", real_model.DTYPES)
def test_every_prompt_is_answered_in_full(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"vocab_size": 500, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    monkeypatch.setitem(
        real_model.SHAPES,
        "small",
        ("Qwen2Config", small | heads),
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    row = real_model.measure("small", dtype, prompts=5, new=3)
    assert (row["answers"], row["new tokens"], row["dtype"]) == (5, 15, dtype)
    assert real_model.table([row]).count("\n") == 2
