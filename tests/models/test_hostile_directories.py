"""Model directories whose files say what they may not: one message, whatever library would have failed."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puretune.errors import InputError, PuretuneError
from puretune.models import ModelSpec, load_base, parameters_per_token, renderer_for
from puretune.templates import Message, resolve_template

FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "model.safetensors.index.json",
)
INTERNAL = ("<class", "NoneType", "object at 0x", "\x1b", "Traceback")
_NUMBERS = st.sampled_from([-1, 0, 1, 3, 0.5, -2.5, 2**31, 10**12, 10**30, 1e300, float("inf")])
_TEXTS = st.sampled_from(
    ["", "x", "\x1b[31m", "é", "\ud800", "a" * 300, "../x", "float32", "{{ 1/0 }}", "true"]
)
_SIMPLE = st.none() | st.booleans() | _NUMBERS | _TEXTS
VALUES = _SIMPLE | st.lists(_SIMPLE, max_size=2) | st.dictionaries(_TEXTS, _SIMPLE, max_size=2)


def changed(directory: Path, name: str, change: Any) -> None:
    file = directory / name
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(change(content)))


@pytest.fixture
def copy(llama_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama_path, tmp_path / "copy"))


def used(directory: Path) -> None:
    """Everything that a run does with a model, on a few tokens."""
    spec = ModelSpec(str(directory), device="cpu", threads=1)
    renderer = renderer_for(spec)
    prompt = renderer.prompt(resolve_template("TV"), [Message("user", "How many? 12")])
    parameters_per_token(spec)
    base = load_base(spec, renderer)
    base.model.config.get_text_config(decoder=True)
    import torch

    with torch.inference_mode():
        base.model(input_ids=torch.tensor([list(prompt.ids)]))


def is_one_message(directory: Path) -> None:
    """Either the model works, or one error of ours says what is wrong, in words for people."""
    with suppress(PuretuneError), Said() as said:
        used(directory)
    if said.text is not None:
        assert said.text.strip()
        assert "\n" not in said.text
        assert len(said.text) < 1200
        assert not any(word in said.text for word in INTERNAL)


class Said:
    """What an error that leaves the block says."""

    text: str | None = None

    def __enter__(self) -> Said:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.text = None if error is None else str(error)


@st.composite
def mutations(draw: st.DrawFn, content: Any, depth: int = 0) -> Any:
    """The value with one thing in it changed, removed or added."""
    if depth > 3 or not isinstance(content, dict | list) or not content or draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    places = list(content) if isinstance(content, dict) else list(range(min(len(content), 40)))
    place, copied = draw(st.sampled_from(places)), content.copy()
    if draw(st.integers(0, 4)) == 0:
        del copied[place]
    else:
        copied[place] = draw(mutations(content[place], depth + 1))
    return copied


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_directory_is_one_message(llama_path: Path, tmp_path: Path, data: st.DataObject) -> None:
    directory = tmp_path / "mutated"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(llama_path, directory)
    name = data.draw(st.sampled_from(FILES))
    changed(directory, name, lambda content: data.draw(mutations(content)))
    is_one_message(directory)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "text", ["3", "null", "[]", '"x"', "[" * 5000, "{", "NaN", '{"a":' * 3000, "", "\x00"]
)
def test_a_file_that_is_no_mapping_is_one_message(copy: Path, name: str, text: str) -> None:
    (copy / name).write_text(text)
    is_one_message(copy)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("config.json", "attention_bias", None),
        ("config.json", "head_dim", 0),
        ("config.json", "num_attention_heads", -4),
        ("config.json", "num_hidden_layers", 10**9),
        ("config.json", "hidden_size", "32"),
        ("config.json", "vocab_size", 10),
        ("config.json", "eos_token_id", -1),
        ("config.json", "eos_token_id", 10**6),
        ("config.json", "rope_scaling", 3),
        ("config.json", "rope_parameters", {"rope_type": 3}),
        ("config.json", "hidden_act", "nope"),
        ("config.json", "rms_norm_eps", "x"),
        ("config.json", "dtype", "float99"),
        ("config.json", "id2label", 3),
        ("config.json", "transformers_weights", "other.safetensors"),
        ("generation_config.json", "eos_token_id", "x"),
        ("generation_config.json", "eos_token_id", [2, 10**6]),
        ("tokenizer_config.json", "bos_token", 3),
        ("tokenizer_config.json", "chat_template", 3),
        ("tokenizer_config.json", "added_tokens_decoder", {"x": 1}),
        ("tokenizer_config.json", "model_max_length", "x"),
        ("special_tokens_map.json", "eos_token", []),
        ("added_tokens.json", "<x>", -5),
    ],
)
def test_a_wrong_value_is_named_with_its_file(copy: Path, name: str, key: str, value: Any) -> None:
    changed(copy, name, lambda content: {**content, key: value})
    with pytest.raises(InputError) as caught:
        used(copy)
    assert name in str(caught.value)
    assert key in str(caught.value)


def test_a_tokenizer_that_is_no_mapping_names_its_directory(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("3")
    with pytest.raises(InputError, match="copy: this tokenizer cannot be loaded"):
        renderer_for(ModelSpec(str(copy)))
