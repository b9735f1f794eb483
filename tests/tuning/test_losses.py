"""Losses against their definitions, and the same adapters from every tuner."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch.nn.functional import cross_entropy

from puretune.errors import InputError
from puretune.models import Lora, attached, new_lora
from puretune.study import Study
from puretune.tuning import LOSSES, Loss, TuningTask, loss_named, render_rows, tuner_named
from puretune.tuning._loss_formulas import Chunk
from puretune.tuning._rows import Row
from puretune.tuning.loop import token_losses
from tests.tuning.gang.gangs import distance, gang, gang_gradients, jobs_of, loop, loop_gradients
from tests.tuning.tasks import rows, task

CONSTRAINED, ANCHOR, REPLAY = (loss_named(name) for name in ("constrained-sft", "kl-anchor", "logit-replay"))
PARTS: dict[str, tuple[Loss | None, Loss | None]] = {
    "constrained": (CONSTRAINED, None),
    "anchors": (None, ANCHOR),
    "replay": (None, REPLAY),
    "all": (CONSTRAINED, ANCHOR),
}
"""The recipe's loss, and that of every other row."""


def made(out: Path, kind: str, **changes: Any) -> TuningTask:
    usual, own = PARTS[kind]
    mixed = tuple(replace(row, loss=own if n % 2 else None) for n, row in enumerate(rows(7, "chat:mpt")))
    recipe = {"loss": usual} if usual else {}
    return task(out, name=kind, **{"rows": mixed, "targets": ("q_proj", "down_proj"), **recipe, **changes})


def chunk(tokens: int = 7, seed: int = 0) -> Chunk:
    torch.manual_seed(seed)
    logits, reference = torch.randn(2, tokens, 11, dtype=torch.float64)
    return Chunk(logits.requires_grad_(True), torch.randint(11, (tokens,)), torch.arange(tokens), reference)


def test_the_constrained_loss_is_its_definition() -> None:
    given = chunk()
    p, before = (x.softmax(-1).gather(1, given.targets.unsqueeze(1))[:, 0] for x in given[::3])
    beta = torch.tensor([0.5, 2.0, 2.0, 2.0, 2.0, 0.1, 0.1], dtype=torch.float64)
    weight = (2 * (1 - torch.sigmoid(beta * (p.log() - before.log())))).clamp(min=1e-3)
    assert torch.allclose(CONSTRAINED.open()(given), -p.log() * weight)
    assert 1e-3 < weight.min() < 1 < weight.max() < 2


def test_the_weight_of_the_constrained_loss_has_a_floor_and_no_gradient() -> None:
    given = chunk(1)
    far = given._replace(logits=(100 * torch.eye(11, dtype=torch.float64)[given.targets]).requires_grad_())
    loss = loss_named("constrained-sft", {"first": 9.0, "floor": 0.25}).open()
    assert torch.allclose(loss(far), 0.25 * cross_entropy(far.logits, far.targets, reduction="none"))
    weighted = CONSTRAINED.open()(given)
    (found,) = torch.autograd.grad(weighted.sum(), given.logits, retain_graph=True)
    plain = cross_entropy(given.logits, given.targets)
    (usual,) = torch.autograd.grad(plain, given.logits)
    assert torch.allclose(found / usual, (weighted / plain).detach().expand_as(found))


def test_the_divergence_is_its_definition() -> None:
    given = chunk()
    assert given.reference is not None
    before, now = given.reference.softmax(-1), given.logits.softmax(-1)
    expected = 3 * (before * (before / now).log()).sum(-1)
    assert torch.allclose(loss_named("kl-anchor", {"weight": 3.0}).open()(given), expected)
    assert expected.min() > 0


def test_the_replay_is_its_definition() -> None:
    given = chunk()
    assert given.reference is not None
    squares = ((given.logits - given.reference) ** 2).sum(-1) / 11
    entropy = cross_entropy(given.logits, given.targets, reduction="none")
    replay = loss_named("logit-replay", {"logits": 2.0, "answers": 0.25})
    assert torch.allclose(replay.open()(given), 2 * squares + 0.25 * entropy)


def untuned(base: Any) -> Lora:
    return new_lora(base.model, 4, 8, ("q_proj", "down_proj"), torch.Generator().manual_seed(0))


def of_rows(base: Any, lora: Lora, given: list[Row]) -> torch.Tensor:
    return token_losses(base.model, given, attached(base.model, lora))


def test_before_the_first_step_nothing_differs_from_the_untuned_model(llama: Any, tmp_path: Path) -> None:
    """The constrained loss and its gradient are cross-entropy's; the others' comparing part is 0."""
    plain, lora = list(render_rows(task(tmp_path), llama.renderer, 256)), untuned(llama)
    under = {
        name: of_rows(llama, lora, [replace(row, loss=loss) for row in plain])
        for name, loss in {
            "plain": loss_named("cross-entropy"),
            "constrained": CONSTRAINED,
            "anchor": ANCHOR,
            "logits": loss_named("logit-replay", {"answers": 0.0}),
        }.items()
    }
    assert torch.equal(under["plain"], token_losses(llama.model, plain, nullcontext()))
    assert torch.allclose(under["constrained"], under["plain"], rtol=1e-6)
    assert under["anchor"].abs().max() < 1e-9
    assert under["logits"].abs().max() < 1e-9
    slopes = {name: torch.autograd.grad(losses.sum(), lora.parameters) for name, losses in under.items()}
    for ours, usual in zip(slopes["constrained"], slopes["plain"], strict=True):
        assert torch.allclose(ours, usual, rtol=1e-5, atol=1e-7)
    assert max(float(slope.abs().max()) for slope in slopes["anchor"] + slopes["logits"]) < 1e-5


def test_a_rows_positions_begin_anew_in_every_answer() -> None:
    row = Row((1, 2, 3, 4, 5, 6, 7), (False, True, True, False, False, True, True), 0)
    assert row.places == [1, 2, 5, 6]
    assert row.positions == [0, 1, 0, 1]


SWITCHES: list[dict[str, Any]] = [
    {},
    {"head": False, "last_layer": False},
    {"pack": False, "share_prefix": False},
    {"route": "hooked"},
    {"route": "alone"},
    {"together": 2, "recompute": True},
]


@pytest.mark.parametrize("options", SWITCHES, ids=str)
def test_a_gang_of_several_losses_has_the_gradients_of_the_loop(
    options: dict[str, Any], llama: Any, tmp_path: Path
) -> None:
    tasks = [made(tmp_path / kind, kind, seed=n, batch_size=4) for n, kind in enumerate(PARTS)]
    tasks.append(task(tmp_path / "plain", batch_size=4, targets=("q_proj", "down_proj")))
    jobs = jobs_of(llama, tasks)
    losses, gradients = gang_gradients(llama, jobs, **options)
    expected_losses, expected = loop_gradients(llama, jobs)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    assert (gradients - expected).norm() < 1e-5 * expected.norm()


def test_logits_in_small_chunks_change_nothing(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(llama, [made(tmp_path / kind, kind) for kind in PARTS])
    expected = gang_gradients(llama, jobs)[1]
    monkeypatch.setattr("puretune.tuning.gang._packed._LOGITS", 3 * llama.model.config.vocab_size)
    assert (gang_gradients(llama, jobs)[1] - expected).norm() < 1e-5 * expected.norm()


def test_a_gang_makes_the_adapters_of_the_loop_whatever_their_losses(llama: Any, tmp_path: Path) -> None:
    def tasks(name: str) -> list[TuningTask]:
        return [made(tmp_path / name / kind, kind, seed=n, keep=(3,)) for n, kind in enumerate(PARTS)]

    together, alone = gang(llama, tasks("gang")), loop(llama, tasks("loop"))
    assert distance(together, alone) < 1e-4
    assert len({ref.digest for ref in together.values()}) == 2 * len(PARTS)


@pytest.mark.parametrize("kind", ["constrained", "all", "replay"])
def test_the_trainer_makes_them_too(kind: str, llama: Any, tmp_path: Path) -> None:
    changes = {"dropout": 0.0, "steps": 5, "accumulation": 2, "ema": 0.7 if kind == "all" else None}
    ours = loop(llama, [made(tmp_path / "loop", kind, **changes)])
    options = {"constrained": {"packing": True}, "replay": {"padding_free": True}}.get(kind, {})
    trainer = tuner_named("trainer", options).open(llama)
    found = trainer.tune([made(tmp_path / "trainer", kind, **changes)], lambda event: None)
    assert distance(ours, {(one.name, step): ref for one, step, ref in found}) < 1e-4


@dataclass(frozen=True)
class Focal(Loss):
    """One of somebody else's package: cross-entropy, less of it where the token is likely already."""

    power: float = 2.0
    name: ClassVar[str] = "focal"

    def open(self) -> Callable[[Chunk], torch.Tensor]:
        def loss(chunk: Chunk) -> torch.Tensor:
            entropy = cross_entropy(chunk.logits, chunk.targets, reduction="none")
            return (1 - entropy.neg().exp()) ** self.power * entropy

        return loss


def test_a_loss_of_another_package_is_one_like_ours(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = replace(LOSSES, builtin={**LOSSES.builtin, "focal": Focal})
    monkeypatch.setattr("puretune.tuning.losses.LOSSES", offered)
    said = {"recipe": {"loss": {"name": "focal", "power": 0.5}}, "data": "lab-maths"}
    study = Study(name="s", model="lab", tuning=said, train=["CV"], test=["CV"], suites=["lab-maths"])
    assert study.tuning is not None
    loss = study.tuning.recipe.loss
    assert (loss, loss.said()) == (Focal(0.5), {"name": "focal", "power": 0.5})
    with pytest.raises(InputError, match=r"unknown option 'powr'\. Did you mean 'power'"):
        loss_named("focal", {"powr": 1.0})
    ours = gang(llama, [task(tmp_path / "gang", loss=Focal(0.5), dropout=0.0)])
    theirs = loop(llama, [task(tmp_path / "loop", loss=Focal(0.5), dropout=0.0)])
    assert distance(ours, theirs) < 1e-4
    assert distance(ours, loop(llama, [task(tmp_path / "plain", dropout=0.0)])) > 1e-2


@pytest.mark.parametrize(
    ("tuner", "options", "kind", "message"),
    [
        ("trainer", {"method": "full"}, "constrained", "method full leaves none. Use method lora"),
        ("trainer", {"liger": True}, "anchors", "without `liger`"),
        ("openai", {"base_url": "http://127.0.0.1:1/v1"}, "replay", "no loss 'logit-replay'. Use the tuner"),
    ],
)
def test_what_a_tuner_cannot_minimise_is_said(
    tuner: str, options: dict[str, Any], kind: str, message: str, tmp_path: Path
) -> None:
    from puretune.tuning._checks import check_losses

    with pytest.raises(InputError) as caught:
        check_losses(tuner_named(tuner, options), made(tmp_path, kind))
    assert message in str(caught.value)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_are_numbers_of_0_or_more(weight: float) -> None:
    kinds: list[Callable[[], Any]] = [
        lambda: type(ANCHOR)(weight),  # type: ignore[call-arg]
        lambda: type(CONSTRAINED)(floor=weight),  # type: ignore[call-arg]
    ]
    for kind in kinds:
        with pytest.raises(InputError, match="Give a number of 0 or more"):
            kind()
