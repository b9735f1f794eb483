"""What a study may say about the trainer, and whether this machine can do it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from puretune.errors import EnvironmentFault, InputError
from puretune.tuning._spec import LocalTuner, beyond_cross_entropy
from puretune.tuning._types import Recipe
from puretune.tuning.losses import Loss

Method = Literal["lora", "qlora", "full"]

_LIBRARIES = ("accelerate", "trl")
_TRACKERS = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio"}


@dataclass(frozen=True)
class TrainerOptions(LocalTuner):
    """Settings of the ``trainer`` tuner; the recipe says everything else."""

    method: Method = "lora"
    """``lora``; ``qlora``: the same on a base in 4 bits (bitsandbytes); ``full``: all weights are tuned, and
    what comes out is a whole checkpoint."""
    gradient_checkpointing: bool = False
    """Less memory, more time: activations are computed again in the backward pass."""
    padding_free: bool = False
    """The rows of a micro-batch are concatenated without padding, kept apart by their positions."""
    packing: bool = False
    """Padding-free, and the rows of a step are packed into sequences of ``recipe.max_length`` tokens."""
    liger: bool = False
    """Liger's layer kernels (the liger-kernel package)."""
    report_to: tuple[str, ...] = ()
    """Trackers: ``tensorboard``, ``wandb``, ``trackio``."""
    log_dir: Path = Path("trackers")
    """Where TensorBoard's files go, one directory per task."""
    launch: Path | None = None
    """An accelerate configuration: training runs on as many processes as it says (FSDP2, DeepSpeed, DDP)."""

    name = "trainer"
    version = "1"
    opens = "puretune.tuning.trainer.tuner:TrainerTuner"
    any_loss = True

    @property
    def whole(self) -> bool:
        """Whether all weights are tuned."""
        return self.method == "full"

    def unable(self, recipe: Recipe, losses: Collection[Loss]) -> str:
        """Where all weights are tuned there is no untuned model left to compare with; liger's kernels keep no
        logits."""
        if self.liger or (self.whole and recipe.ema is not None):
            why = beyond_cross_entropy(self.name, recipe, losses)
            return why and f"{why[:-1]} without `{'liger' if self.liger else 'method: full'}`."
        compares = [loss.name for loss in losses if loss.reference and self.whole]
        if not compares:
            return ""
        return (
            f"loss {compares[0]!r} compares with the untuned model, and method full leaves none. Use method "
            "lora or qlora."
        )

    def inputs(self) -> dict[str, Any]:
        """What can change a weight: also the libraries, and how many processes share a step."""
        chosen = {
            "method": self.method,
            "gradient_checkpointing": self.gradient_checkpointing,
            "padding_free": self.padding_free,
            "packing": self.packing,
            "liger": self.liger,
        }
        launch = {"launch": self.launch.read_text("utf-8")} if self.launch and self.launch.is_file() else {}
        return {**chosen, **launch, "libraries": {name: _version(name) for name in _LIBRARIES}}


def check_machine(options: TrainerOptions) -> None:
    """EnvironmentFault, naming what to install, where a library is missing; InputError for a wrong option."""
    for name in _LIBRARIES:
        _need(name, "tuner 'trainer'", "pip install 'puretune[train]'")
    if options.method == "qlora":
        _need("bitsandbytes", "tuner 'trainer' with method qlora", "pip install bitsandbytes")
    if options.liger:
        _need("liger_kernel", "tuner 'trainer' with liger", "pip install liger-kernel")
    for tracker in options.report_to:
        if tracker not in _TRACKERS:
            raise InputError(f"report_to: unknown tracker {tracker!r}. Known: {', '.join(_TRACKERS)}.")
        _need(_TRACKERS[tracker], f"report_to: {tracker}", f"pip install {tracker}")
    if options.launch is not None and not options.launch.is_file():
        raise InputError(f"launch: there is no file {options.launch}. configs/accelerate/ has examples.")


def _need(package: str, who: str, how: str) -> None:
    if find_spec(package) is None:
        raise EnvironmentFault(f"{who} needs the package {package}, which is not installed: {how}.")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
