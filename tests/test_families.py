"""Every family goes through loading, tuning and answering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.errors import InputError
from puretune.inference import Decoding, LocalEngine, Request
from puretune.templates import Message, resolve_template
from tests import families
from tests.tuning.tasks import last, rows, task


@pytest.fixture(scope="module", params=families.NAMES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    name = request.param
    return name, families.load(name, families.save(name, tmp_path_factory.mktemp("families") / name))


def test_a_family_is_small_and_of_its_own_architecture(family: tuple[str, Any]) -> None:
    name, base = family
    assert 100_000 < sum(p.numel() for p in base.model.parameters()) < 1_000_000
    assert base.model.config.architectures == [f"{families.FAMILIES[name].architecture}ForCausalLM"]
    assert base.context_length == families.CONTEXT


def test_every_stop_of_the_generation_config_ends_an_answer(family: tuple[str, Any]) -> None:
    name, base = family
    stops = set(base.tokenizer.convert_tokens_to_ids(list(families.FAMILIES[name].stops)))
    assert base.renderer.stop_ids >= stops


def test_two_steps_of_tuning_change_the_answers_of_the_engine_and_not_the_base(
    family: tuple[str, Any], tmp_path: Path
) -> None:
    name, base = family
    asked = base.renderer.prompt(resolve_template("TV"), (Message("user", "How many clips?"),)).ids
    trained = task(
        tmp_path, steps=2, learning_rate=0.3, targets=families.targets(name), rows=rows(4, "text:vanilla")
    )
    adapter = last(base, trained)
    decoding = Decoding(max_new_tokens=8)
    requests = [Request("base", asked, None, decoding), Request("tuned", asked, adapter, decoding)]
    found = {answer.key: answer.token_ids for answer in LocalEngine(base).generate(requests)}
    assert found["base"] != found["tuned"]
    assert found["base"] == generated(base, asked)


def generated(base: Any, prompt: tuple[int, ...]) -> tuple[int, ...]:
    """What ``model.generate`` answers."""
    ids = torch.tensor([prompt])
    stops = sorted(base.renderer.stop_ids)
    out = base.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=8,
        do_sample=False,
        eos_token_id=stops,
        pad_token_id=0,
    )
    return tuple(out[0, len(prompt) :].tolist())


def test_an_adapter_tuned_on_another_base_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    path = families.save("qwen3", tmp_path / "one")
    one, other = (
        families.load("qwen3", path),
        families.load("qwen3", families.save("qwen3", tmp_path / "two", 1)),
    )
    adapter = last(one, task(tmp_path / "tuned", steps=1))
    asked = one.renderer.prompt(resolve_template("TV"), (Message("user", "How many?"),)).ids
    with pytest.raises(InputError) as refused:
        list(LocalEngine(other).generate([Request("r", asked, adapter, Decoding(max_new_tokens=2))]))
    for part in (str(path), one.fingerprint[:12], other.spec.model, other.fingerprint[:12]):
        assert part in str(refused.value)


def test_a_study_stops_where_the_chat_template_adds_a_system_message_and_names_the_setting(
    tmp_path: Path,
) -> None:
    from puretune.study import Study, count, plan_study, run_study

    def planned(**model: str) -> None:
        study = Study(
            name="pure",
            model={"path": str(path), "device": "cpu", "threads": 1, **model},
            train=["untuned"],
            test=["CV"],
            suites=[{"name": "sums", "source": str(asked), "scorers": ["gsm8k"], "max_new_tokens": 2}],
        )
        count(plan_study(study), tmp_path / "run")
        run_study(study, tmp_path / "run")

    path, asked = families.save("qwen2", tmp_path / "qwen2"), tmp_path / "asked.jsonl"
    asked.write_text('{"question": "1 plus 1?", "answer": "#### 2"}\n')
    with pytest.raises(InputError, match="default_system: keep"):
        planned()
    planned(default_system="keep")
