"""The trainer: it trains on our rows as they are, and to the adapters of the reference loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.events import Advanced, Event, Finished, Started
from puretune.models import applied, read_manifest
from puretune.tuning import render_rows, rows_of_step
from puretune.tuning._jobs import prepare
from puretune.tuning.trainer import TrainerOptions
from puretune.tuning.trainer._callbacks import Watch
from puretune.tuning.trainer._model import Where, training_model
from puretune.tuning.trainer._sft import sft_trainer
from puretune.tuning.trainer._steps import plan_data
from tests.tiny import tiny_base, tiny_qwen2
from tests.tuning.tasks import last, rows, task
from tests.tuning.test_loop import state_digest
from tests.tuning.trainer.training import apart, train, trained

PLAIN = {"dropout": 0.0, "steps": 4, "accumulation": 2, "learning_rate": 1e-2}


def test_it_agrees_with_the_reference_loop_after_fifty_steps(llama: Any, tmp_path: Path) -> None:
    recipe = {**PLAIN, "steps": 50, "keep": (20,), "warmup": 0.1, "schedule": "cosine", "weight_decay": 0.1}
    ours = last(llama, task(tmp_path / "loop", **recipe))
    theirs = train(llama, task(tmp_path / "trainer", **recipe))
    assert [step for _, step, _ in theirs] == [20, 50]
    assert apart(ours, theirs[-1][2]) < 1e-4
    assert apart(theirs[0][2], theirs[1][2]) > 1e-2
    losses = [found.loss for ref in (ours, theirs[-1][2]) if (found := read_manifest(ref.path))]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_the_labels_are_our_loss_mask(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, rows=rows(7, "chat:llama"), **PLAIN)
    job = prepare(made, llama, "trainer")
    data = plan_data(made.recipe, job.rows, made.seed, 4, micro=2, processes=1, capacity=0)
    options, watch = TrainerOptions(), Watch(job, lambda *_: None, lambda event: None)
    model = training_model(job, llama, "lora", Where(cpu=True))
    loader = sft_trainer(job, llama, model, data, options, watch, cpu=True).get_train_dataloader()
    seen = [
        (tuple(ids[on].tolist()), tuple(label != -100 for label in labels[on].tolist()))
        for batch in loader
        for ids, on, labels in zip(
            batch["input_ids"], batch["attention_mask"].bool(), batch["labels"], strict=True
        )
    ]
    per_step = [seen[first : first + 4] for first in range(0, len(seen), 4)]
    assert len(per_step) == 4
    for step, shown in enumerate(per_step):
        wanted = [(row.ids, row.loss_mask) for row in expected(made, job.rows, step)]
        assert shown[: len(wanted)] == wanted
        assert not any(any(mask) for _, mask in shown[len(wanted) :])
    assert {len(expected(made, job.rows, step)) for step in range(4)} == {4, 3}


def expected(made: Any, data: Any, step: int) -> list[Any]:
    return [data[place] for place in rows_of_step(made.recipe, len(data), made.seed, step)]


@pytest.mark.parametrize("option", ["padding_free", "packing", "gradient_checkpointing"])
def test_ways_to_save_memory_change_nothing(option: str, llama: Any, tmp_path: Path) -> None:
    plain = last(llama, task(tmp_path / "plain", **PLAIN))
    saving = trained(llama, task(tmp_path / "saving", **PLAIN), **{option: True})
    assert apart(plain, saving) < 1e-4


def test_events_count_the_steps(llama: Any, tmp_path: Path) -> None:
    events: list[Event] = []
    train(llama, task(tmp_path, **PLAIN), on_event=events.append)
    assert events[0] == Started("tune CV", 4)
    assert [event.done for event in events if isinstance(event, Advanced)] == [1, 2, 3, 4]
    assert isinstance(events[-1], Finished)


def test_the_base_and_the_global_random_state_stay_as_they_were(llama: Any, tmp_path: Path) -> None:
    before, state = state_digest(llama.model), torch.get_rng_state()
    pad = llama.tokenizer.pad_token
    trained(llama, task(tmp_path, **{**PLAIN, "dropout": 0.1}))
    assert state_digest(llama.model) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert llama.tokenizer.pad_token == pad
    assert not any(p.requires_grad for p in llama.model.parameters())


def test_the_manifest_is_that_of_every_tuner(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, seed=3, **PLAIN)
    found = read_manifest(trained(llama, made).path)
    assert found is not None
    assert (found.condition, found.seed, found.step, found.steps) == ("CV", 3, 4, 4)
    assert found.tuner.startswith("trainer 1 ")
    assert found.base.keys() == {"model", "revision", "fingerprint", "licence"}
    assert found.versions.keys() >= {"puretune", "torch", "trl", "accelerate"}


def test_a_finished_condition_computes_nothing(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, keep=(2,), **PLAIN)
    first = train(llama, made)
    events: list[Event] = []
    assert train(llama, made, on_event=events.append) == first
    assert events == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-2", "step-4"]


def test_training_goes_on_from_an_adapter_of_the_loop(llama: Any, tmp_path: Path) -> None:
    first = last(llama, task(tmp_path / "a", dropout=0.0))
    after = {**PLAIN, "start": first}
    ours = last(llama, task(tmp_path / "loop", **after))
    theirs = trained(llama, task(tmp_path / "trainer", **after))
    assert apart(ours, theirs) < 1e-4
    assert apart(first, theirs) > 1e-2


def test_four_bits_train_an_adapter_too(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path / "q", rows=rows(2), steps=20, keep=(1,), schedule="constant", dropout=0.0)
    kept = train(llama, made, method="qlora")
    losses = [found.loss for _, _, ref in kept if (found := read_manifest(ref.path))]
    assert losses[1] < 0.9 * losses[0]
    plain = trained(llama, task(tmp_path / "plain", **PLAIN))
    saved = load_file(kept[-1][2].path / "adapter_model.safetensors")
    assert saved.keys() == load_file(plain.path / "adapter_model.safetensors").keys()
    assert {value.dtype for value in saved.values()} == {torch.float32}


def test_full_tuning_yields_a_checkpoint(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, rows=rows(2), steps=8, learning_rate=1e-3, dropout=0.0, keep=(1,))
    kept = train(llama, made, method="full")
    assert [ref.kind for _, _, ref in kept] == ["checkpoint", "checkpoint"]
    before = llama.model.state_dict()
    after = load_file(kept[-1][2].path / "model.safetensors")
    assert {name for name in after if torch.equal(after[name], before[name])} == set()
    losses = [found.loss for _, _, ref in kept if (found := read_manifest(ref.path))]
    assert losses[1] < losses[0]
    with applied(llama, kept[-1][2]) as model:
        assert torch.equal(model.lm_head.weight, after["lm_head.weight"])


def test_full_tuning_keeps_tied_weights_tied(tmp_path: Path) -> None:
    base = tiny_base(tiny_qwen2(tmp_path / "qwen2"))
    ref = trained(base, task(tmp_path / "out", steps=2), method="full")
    with applied(base, ref) as model:
        assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
        assert not torch.equal(model.lm_head.weight, base.model.lm_head.weight)


def test_full_tuning_is_plain_adamw_on_all_weights(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, rows=rows(2), steps=2, learning_rate=1e-3, schedule="constant")
    ours = load_file(trained(llama, made, method="full").path / "model.safetensors")
    theirs = tiny_base(llama.path).model.requires_grad_(True)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=0.0)
    data = render_rows(made, llama.renderer, llama.context_length)
    for _ in range(2):
        losses = []
        for row in data:
            ids = torch.tensor([row.ids])
            labels = ids.masked_fill(~torch.tensor([row.loss_mask]), -100)
            losses.append(theirs(input_ids=ids, labels=labels).loss * row.trained)
        (torch.stack(losses).sum() / sum(row.trained for row in data)).backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    for name, value in theirs.state_dict().items():
        assert torch.linalg.norm(ours[name] - value) < 1e-4, name


def test_half_precision_trains_matrices_in_full(llama_path: Path, tmp_path: Path) -> None:
    base = tiny_base(llama_path, dtype="bfloat16")
    ref = trained(base, task(tmp_path / "lora", **PLAIN))
    assert {v.dtype for v in load_file(ref.path / "adapter_model.safetensors").values()} == {torch.float32}
    full = trained(base, task(tmp_path / "full", **PLAIN), method="full")
    assert {v.dtype for v in load_file(full.path / "model.safetensors").values()} == {torch.bfloat16}


def test_trackers_get_the_loss_of_every_step(llama: Any, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = task(tmp_path / "out", name="CV seed 0", **PLAIN)
    trained(llama, made, report_to=["tensorboard"], log_dir=str(tmp_path / "logs"))
    (file,) = (tmp_path / "logs" / "CV seed 0").glob("events*")
    scalars = EventAccumulator(str(file)).Reload().Scalars("train/loss")
    assert [scalar.step for scalar in scalars] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "qlora"}, "method qlora needs the package bitsandbytes"),
        ({"liger": True}, "liger needs the package liger_kernel"),
        ({"report_to": ["wandb"]}, "report_to: wandb needs the package wandb"),
    ],
)
def test_a_missing_library_is_named_with_the_way_to_install_it(
    options: Any, expected: str, llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from puretune.tuning.trainer import _options

    monkeypatch.setattr(_options, "find_spec", lambda name: None if name in expected else object())
    with pytest.raises(EnvironmentFault, match=rf"{expected}.*pip install"):
        train(llama, task(tmp_path, **PLAIN), **options)


def test_wrong_options_are_named(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown tracker 'tensorbord'"):
        train(llama, task(tmp_path), report_to=["tensorbord"])
    with pytest.raises(InputError, match="launch: there is no file"):
        train(llama, task(tmp_path), launch=str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match=r"method: should be .lora., .qlora. or .full. .given: .dora.."):
        train(llama, task(tmp_path), method="dora")


def test_a_loss_that_is_not_a_number_fails_with_its_step(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"the (loss is|weights are not finite).* step \d"):
        train(llama, task(tmp_path, steps=30, learning_rate=1e30, clip=None, schedule="constant"))
    assert not list(tmp_path.glob("step-*"))
