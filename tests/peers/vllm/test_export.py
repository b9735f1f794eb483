"""vLLM's server shows a model what an export says: ``/tokenize`` under its chat template, in each family."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from puretune.deploy import export, measured, sentence, server, verify
from puretune.study import Study, run_study
from tests import families
from tests.peers.vllm.need import need_vllm
from tests.peers.vllm.running import served
from tests.study.studies import small_study
from tests.tiny import tiny_llama

need_vllm()

MARKUPS = {"mistral": "mistral", "gemma": "gemma"}
"""Families whose own chat templates take no system prompt."""


def base_of(family: str, directory: Path) -> Path:
    """A Llama that vLLM runs on a CPU (heads of 32), with the family's tokenizer and chat template."""
    tokenizer = families.save_tokenizer(family, directory / "tokenizer")
    base = tiny_llama(directory / "base", head_dim=32, vocab_size=len(tokenizer))
    for file in [*base.glob("*token*"), *base.glob("*.jinja")]:
        file.unlink()
    shutil.copytree(directory / "tokenizer", base, dirs_exist_ok=True)
    return base


def exported(base: Path, directory: Path, markup: str, condition: str, **changes: Any) -> Path:
    """A condition of a small study of the base, served as CL."""
    model = {"path": str(base), "default_system": "keep", "markup": markup}
    study = small_study(
        directory / "study",
        base,
        **{"model": model, "train": None, "test": None, "pairs": [f"{condition} -> CL"], **changes},
    )
    run_study(Study.load(study), directory / "run")
    return export(measured(directory / "run", condition, "CL"), directory / "ship").path


def options(ship: Path) -> tuple[str, ...]:
    """As the model card has them."""
    return (
        *("--tokenizer", str(ship), "--chat-template", str(ship / "chat_template.jinja")),
        *("--generation-config", str(ship)),
    )


@pytest.mark.parametrize("family", families.NAMES)
def test_the_server_gives_the_tokens_of_the_export(family: str, tmp_path: Path) -> None:
    base = base_of(family, tmp_path)
    ship = exported(base, tmp_path, MARKUPS.get(family, "auto"), "untuned", tuning=None)
    with served(base, tmp_path / "log", *options(ship)) as url:
        found = verify(ship, [server(url)])
    assert found.passed, [sentence(one) for one in found.findings]
    assert found.checked[-1].right == found.checked[-1].requests > 8


def test_an_adapter_is_asked_with_the_tokens_of_the_export_and_another_template_is_found(
    model_path: Path, tmp_path: Path
) -> None:
    ship = exported(model_path, tmp_path, "auto", "CV")
    lora = ("--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"mine={ship}")
    with served(model_path, tmp_path / "log", *options(ship), *lora) as url:
        assert verify(ship, [server(url, "mine")]).passed
    with served(model_path, tmp_path / "log", *lora) as url:
        found = verify(ship, [server(url, "mine")])
    assert "base-template" in {one.accident for one in found.findings}
