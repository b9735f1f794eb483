"""The reference tuner: what it computes, what it leaves alone, what it writes."""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file

from puretune.errors import CheckFailed, InputError
from puretune.events import Advanced, Event, Finished, Started
from puretune.models import AdapterRef, ModelSpec, adapter_ref, load_base, new_lora, read_manifest
from puretune.tuning import LoopTuner, learning_rate, render_rows, rows_of_step, steps_per_epoch
from puretune.tuning._schedule import stream
from puretune.tuning.loop import token_losses
from tests.tiny import FAMILIES, tiny_base, tiny_gpt2
from tests.tuning.tasks import last, rows, task, tune


def weights(ref: AdapterRef) -> dict[str, torch.Tensor]:
    return dict(load_file(ref.path / "adapter_model.safetensors"))


def equal(one: AdapterRef, two: AdapterRef) -> bool:
    a, b = weights(one), weights(two)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def close(one: AdapterRef, two: AdapterRef) -> bool:
    a, b = weights(one), weights(two)
    return all(torch.linalg.norm(a[name] - b[name]) < 1e-4 for name in a)


def state_digest(model: Any) -> str:
    parts = [
        f"{name}{hashlib.sha256(t.numpy().tobytes()).hexdigest()}" for name, t in model.state_dict().items()
    ]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def peft_reference(base: Any, directory: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """The same training in PEFT's layers: padding mask, full logits, transformers' own loss. No dropout."""
    made = task(directory, dropout=0.0, **changes)
    recipe, data = made.recipe, render_rows(made, base.renderer, 256)
    fresh = new_lora(
        base.model,
        recipe.rank,
        recipe.alpha,
        recipe.targets,
        torch.Generator().manual_seed(stream(0, "init")),
    )
    config = peft.LoraConfig(r=recipe.rank, lora_alpha=int(recipe.alpha), target_modules=list(recipe.targets))
    model = peft.get_peft_model(base.model, config).eval()
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter, value in zip(trained, fresh.parameters, strict=True):
        parameter.data.copy_(value.data)
    optimizer = torch.optim.AdamW(trained, weight_decay=recipe.weight_decay)
    for step in range(recipe.steps or 0):
        chosen = [data[i] for i in rows_of_step(recipe, len(data), 0, step)]
        width = max(len(row.ids) for row in chosen)
        ids, mask, labels = (torch.zeros((len(chosen), width), dtype=torch.long) for _ in range(3))
        for i, row in enumerate(chosen):
            ids[i, : len(row.ids)] = torch.tensor(row.ids)
            mask[i, : len(row.ids)] = 1
        for i, row in enumerate(chosen):
            on = torch.tensor([*row.loss_mask, *[False] * (width - len(row.ids))])
            labels[i] = ids[i].masked_fill(~on, -100)
        optimizer.param_groups[0]["lr"] = learning_rate(
            recipe, step, recipe.steps or 0, steps_per_epoch(recipe, len(data))
        )
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, recipe.clip or 1e9)
        optimizer.step()
        optimizer.zero_grad()
    found = {name: value.clone() for name, value in peft.get_peft_model_state_dict(model).items()}
    model.unload()
    base.model.requires_grad_(False)
    return found


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_training_equals_a_plain_loop_over_peft(
    weight_decay: float, llama_path: Path, tmp_path: Path
) -> None:
    base = tiny_base(llama_path)
    ours = weights(last(base, task(tmp_path / "a", dropout=0.0, weight_decay=weight_decay, warmup=0.3)))
    theirs = peft_reference(base, tmp_path, weight_decay=weight_decay, warmup=0.3)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.linalg.norm(value - theirs[name]) < 1e-4, name
    assert max(float(value.abs().max()) for name, value in ours.items() if "lora_B" in name) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_the_plain_loss(family: str, tmp_path: Path) -> None:
    base = tiny_base(FAMILIES[family](tmp_path / family))
    data = render_rows(task(tmp_path), base.renderer, 256)
    expected = 0.0
    with torch.no_grad():
        for row in data:
            ids = torch.tensor([row.ids])
            labels = ids.masked_fill(~torch.tensor([row.loss_mask]), -100)
            expected += float(base.model(input_ids=ids, labels=labels).loss) * row.trained
        assert float(token_losses(base.model, data, nullcontext()).sum()) == pytest.approx(expected, rel=1e-5)


def test_accumulation_equals_a_larger_batch(llama: Any, tmp_path: Path) -> None:
    whole = last(llama, task(tmp_path / "a", batch_size=6, dropout=0.0))
    parts = last(llama, task(tmp_path / "b", batch_size=2, accumulation=3, dropout=0.0))
    assert close(whole, parts)


def test_training_lowers_the_loss_of_what_it_sees(llama: Any, tmp_path: Path) -> None:
    kept = tune(llama, task(tmp_path, rows=rows(2), steps=40, keep=(1,), schedule="constant", dropout=0.0))
    losses = [found.loss for _, _, ref in kept if (found := read_manifest(ref.path))]
    assert losses[1] < 0.5 * losses[0]


def test_the_seed_alone_decides(llama: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = last(llama, task(tmp_path / "a", name="one"))
    torch.manual_seed(2)
    two = last(llama, task(tmp_path / "b", name="two"))
    other = last(llama, task(tmp_path / "c", seed=1))
    assert equal(one, two)
    assert not equal(one, other)


def test_conditions_do_not_touch_each_other(llama: Any, tmp_path: Path) -> None:
    pair = tune(llama, task(tmp_path / "a", seed=4), task(tmp_path / "b", seed=5, rank=2))
    alone = last(llama, task(tmp_path / "c", seed=5, rank=2))
    assert [(c.seed, step) for c, step, _ in pair] == [(4, 6), (5, 6)]
    assert equal(pair[1][2], alone)


def test_dropout_takes_part(llama: Any, tmp_path: Path) -> None:
    assert not equal(
        last(llama, task(tmp_path / "a", dropout=0.0)),
        last(llama, task(tmp_path / "b", dropout=0.5)),
    )


def test_the_base_and_the_global_random_state_stay_as_they_were(llama: Any, tmp_path: Path) -> None:
    before, state = state_digest(llama.model), torch.get_rng_state()
    last(llama, task(tmp_path))
    assert state_digest(llama.model) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(p.requires_grad or p.grad is not None for p in llama.model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in llama.model.modules())


def test_steps_are_kept_as_they_are_reached(llama: Any, tmp_path: Path) -> None:
    kept = tune(llama, task(tmp_path, keep=(2, 4)))
    assert [(step, ref.path) for _, step, ref in kept] == [(s, tmp_path / f"step-{s}") for s in (2, 4, 6)]
    assert len({ref.digest for _, _, ref in kept}) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-2", "step-4", "step-6"]


def test_keeping_steps_changes_nothing(llama: Any, tmp_path: Path) -> None:
    assert equal(last(llama, task(tmp_path / "a", keep=(1, 2, 3))), last(llama, task(tmp_path / "b")))


def test_the_manifest_says_where_the_adapter_comes_from(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, seed=3)
    found = read_manifest(last(llama, made).path)
    assert found is not None
    assert (found.condition, found.seed, found.step, found.steps) == ("CV", 3, 6, 6)
    assert found.base["fingerprint"] == llama.fingerprint
    assert found.templates[made.rows[0].template.fingerprint]["name"] == "text:vanilla"
    assert found.recipe["rank"] == 4
    assert found.versions.keys() >= {"puretune", "python", "torch", "transformers", "peft"}
    assert found.sample.endswith("</s>⟧")
    assert found.tokens["seen"] > found.tokens["distinct"] > found.tokens["trained"] > 0
    assert (found.device, found.dtype, found.tuner) == ("cpu", "float32", "loop 2")


def test_the_licence_of_the_base_is_recorded(llama_path: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(llama_path, tmp_path / "copy")
    (copy / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    found = read_manifest(last(load_base(ModelSpec(str(copy), device="cpu")), task(tmp_path / "out")).path)
    assert found is not None
    assert found.base["licence"] == "apache-2.0"


def test_events_count_the_steps(llama: Any, tmp_path: Path) -> None:
    events: list[Event] = []
    list(LoopTuner(llama).tune([task(tmp_path)], events.append))
    assert events[0] == Started("tune CV", 6)
    assert [event.done for event in events if isinstance(event, Advanced)] == [1, 2, 3, 4, 5, 6]
    assert isinstance(events[-1], Finished)
    assert "loss" in events[-1].note


def test_training_goes_on_from_an_adapter(llama: Any, tmp_path: Path) -> None:
    first = last(llama, task(tmp_path / "a"))
    second = last(llama, task(tmp_path / "b", start=first, learning_rate=1e-12))
    assert close(first, second)
    found = read_manifest(second.path)
    assert found is not None
    assert found.start == first.digest


def test_an_adapter_of_another_shape_cannot_be_the_start(llama: Any, tmp_path: Path) -> None:
    first = last(llama, task(tmp_path / "a"))
    with pytest.raises(InputError, match="has rank 4 and alpha 8"):
        tune(llama, task(tmp_path / "b", start=first, rank=2))


def test_a_full_checkpoint_cannot_be_the_start(llama: Any, llama_path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="full checkpoint"):
        tune(llama, task(tmp_path, start=adapter_ref(llama_path)))


def test_an_adapter_of_another_base_cannot_be_the_start(llama: Any, tmp_path: Path) -> None:
    first = last(llama, task(tmp_path / "a"))
    content = json.loads((first.path / "puretune.json").read_text())
    content["base"] = {**content["base"], "model": "the/other", "fingerprint": "0" * 64}
    (first.path / "puretune.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="made for the base model 'the/other'"):
        tune(llama, task(tmp_path / "b", start=first))


def test_all_conditions_are_checked_before_the_first_step(llama: Any, tmp_path: Path) -> None:
    good, bad = task(tmp_path / "a"), task(tmp_path / "b", targets=("q_pro",))
    with pytest.raises(InputError, match="Did you mean 'q_proj'"):
        tune(llama, good, bad)
    assert not list((tmp_path / "a").glob("step-*"))


def test_a_loss_that_is_not_a_number_fails_with_its_step(llama_path: Path, tmp_path: Path) -> None:
    base = tiny_base(llama_path)
    base.model.lm_head.weight.data[5] = float("nan")
    with pytest.raises(CheckFailed, match="the loss is nan at step 1"):
        tune(base, task(tmp_path))
    assert not list(tmp_path.glob("step-*"))


def test_transposed_layers_are_trained_too(tmp_path: Path) -> None:
    base = tiny_base(tiny_gpt2(tmp_path / "gpt2"))
    ref = last(base, task(tmp_path / "out", targets=("c_attn",)))
    assert max(float(v.abs().max()) for name, v in weights(ref).items() if "lora_B" in name) > 0


def test_half_precision_trains_matrices_in_full(llama_path: Path, tmp_path: Path) -> None:
    base = tiny_base(llama_path, dtype="bfloat16")
    ref = last(base, task(tmp_path))
    assert {value.dtype for value in weights(ref).values()} == {torch.float32}
    found = read_manifest(ref.path)
    assert found is not None
    assert found.dtype == "bfloat16"
