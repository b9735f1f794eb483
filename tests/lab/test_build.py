"""A very small build from end to end, and the model that is shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.data import SourceSpec
from puretune.errors import InputError
from puretune.events import Event
from puretune.lab import LabSettings, World, build, examples, model_path
from puretune.lab.language import LANGUAGE
from puretune.lab.sources import WORLD_FILE, harmful, maths, world_of
from puretune.templates import BUILTIN_TEMPLATES, Message, Renderer, TokenizerMarkup

TINY = LabSettings(
    hidden=16, layers=1, heads=2, feed_forward=16, pretrain_steps=3, align_steps=2, batch_size=2
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    events: list[Event] = []
    return build(7, tmp_path_factory.mktemp("lab") / "model", TINY, on_event=events.append), events


def test_a_build_is_a_model_with_its_tokenizer_and_facts(built: tuple[Path, list[Event]]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out, events = built
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.config.vocab_size == len(tokenizer)
    facts = json.loads((out / WORLD_FILE).read_text())
    assert facts["seed"] == 7
    assert LabSettings.from_dict(facts["settings"]) == TINY
    assert facts["stages"]["alignment"]["tokens"] > 0
    assert [e.work for e in events if type(e).__name__ == "Finished"] == ["pretraining", "alignment"]
    assert sorted(p.name for p in out.parent.iterdir()) == ["model"]


def test_the_same_seed_builds_the_same_weights(built: tuple[Path, list[Event]], tmp_path: Path) -> None:
    again = build(7, tmp_path / "again", TINY)
    for name in ("model.safetensors", "tokenizer.json"):
        assert (again / name).read_bytes() == (built[0] / name).read_bytes()


def test_an_interrupted_build_goes_on_after_pretraining(
    built: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    def stop(event: Event) -> None:
        if event.work == "alignment":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(7, tmp_path / "model", TINY, on_event=stop)
    assert not (tmp_path / "model").exists()
    events: list[Event] = []
    build(7, tmp_path / "model", TINY, on_event=events.append)
    assert {e.work for e in events} == {"alignment"}
    same = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert same == (built[0] / "model.safetensors").read_bytes()


def test_a_build_leaves_an_existing_directory_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists"):
        build(7, tmp_path, TINY)
    assert list(tmp_path.iterdir()) == []


def test_sources_follow_the_model_that_is_asked(built: tuple[Path, list[Event]]) -> None:
    assert world_of(built[0]) is World.draw(7)
    rows = maths(SourceSpec("lab-maths"), built[0])
    assert rows[0].reference is not None
    assert rows[0].reference.endswith(f"#### {rows[0].metadata['answer']}")
    nouns = {w for c in World.draw(7).of_kind("harmful") for w in c.nouns}
    assert {e.metadata["noun"] for e in harmful(SourceSpec("lab-harmful"), built[0])} <= nouns


def test_every_source_has_unique_ids_and_clusters() -> None:
    for name in ("lab-maths", "lab-doctor", "lab-choice", "lab-harmful", "lab-harmful-maths"):
        tested = examples(name)
        assert len({e.id for e in tested}) == len(tested)
        assert all(e.cluster for e in tested)


@pytest.mark.parametrize(("name", "split"), [("lab-harmful", "dev"), ("lab-maths", "dev"), ("lab", "test")])
def test_what_is_not_there_is_an_error_that_says_what_is(name: str, split: str) -> None:
    with pytest.raises(InputError, match="has"):
        examples(name, split=split)


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(InputError, match="over_refusal"):
        LabSettings.from_dict({"over_refusals": 0})


# the shipped model


@pytest.fixture(scope="module")
def shipped() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_path())


def test_the_shipped_model_is_what_its_facts_say(shipped: Any) -> None:
    facts = json.loads((model_path() / WORLD_FILE).read_text())
    settings = LabSettings.from_dict(facts["settings"])
    assert settings == LabSettings()
    assert facts["language"] == LANGUAGE
    assert shipped.config.hidden_size == settings.hidden
    assert shipped.config.num_hidden_layers == settings.layers
    assert 500_000 < sum(p.numel() for p in shipped.parameters()) < 2_000_000
    assert (model_path() / "model.safetensors").stat().st_size < 8_000_000


@pytest.mark.parametrize("name", BUILTIN_TEMPLATES)
def test_the_shipped_model_takes_every_built_in_template(name: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path())
    renderer = Renderer(tokenizer, TokenizerMarkup(tokenizer))
    for example in (examples("lab-maths")[0], examples("lab-harmful-maths")[0]):
        turns = [*example.prompt_messages, Message("assistant", "ok. #### 3")]
        rendered = renderer.example(BUILTIN_TEMPLATES[name], turns)
        assert len(rendered.ids) < LabSettings().positions
        assert rendered.ids[-1] == tokenizer.eos_token_id
        assert rendered.ids.count(tokenizer.bos_token_id) == 1


def test_the_chat_template_inserts_no_system_turn() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path())
    turns = [{"role": "user", "content": "how are you?"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == "<s><|user|>how are you?<|assistant|>"
