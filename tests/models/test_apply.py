"""An adapter merged into its base is the model that the adapter makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from puretune.models import adapter_ref, applied, new_lora, save_lora, save_merged
from tests.tiny import tiny_base


def test_a_merged_copy_is_a_full_model_with_the_same_logits(
    llama: Any, llama_path: Path, tmp_path: Path
) -> None:
    lora = new_lora(llama.model, 4, 32, ["q_proj", "v_proj"], torch.Generator().manual_seed(1))
    for _, b in lora.pairs.values():
        b.data.normal_()
    (tmp_path / "adapter").mkdir()
    save_lora(tmp_path / "adapter", lora, llama.model, llama.spec.model, None)
    ref = adapter_ref(tmp_path / "adapter")
    save_merged(llama, ref, tmp_path / "merged")
    llama.tokenizer.save_pretrained(tmp_path / "merged")
    ids = torch.tensor([[1, 40, 50, 60]])
    with applied(llama, ref) as model, torch.no_grad():
        expected = model(ids).logits
    with torch.no_grad():
        assert torch.equal(tiny_base(tmp_path / "merged").model(ids).logits, expected)
        assert not torch.equal(llama.model(ids).logits, expected)
