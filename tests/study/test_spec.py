"""A study file is read, or refused with file, line, key and fix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from puretune.errors import InputError
from puretune.models import ModelSpec
from puretune.study import Study
from puretune.study._run import resolved_yaml
from puretune.study.spec.analysis import AnalysisSection, contrasts_of
from puretune.tuning import Recipe

HEAD = """\
name: mine
model: lab
tuning: {data: lab-maths}
train: [untuned, CV]
test: [CV]
suites: [lab-maths]
"""


def load(tmp_path: Path, text: str) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return Study.load(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_a_study_file_and_python_make_the_same_study(tmp_path: Path) -> None:
    fields = yaml.safe_load(HEAD)
    assert load(tmp_path, HEAD).model_dump() == Study(**fields).model_dump()


@pytest.mark.parametrize("number", ["1e-3", "0.001", "1.0e-3", "'1e-3'"])
def test_numbers_may_be_written_as_people_write_them(tmp_path: Path, number: str) -> None:
    study = load(tmp_path, HEAD.replace("lab-maths}", f"lab-maths, recipe: {{learning_rate: {number}}}}}"))
    assert study.tuning is not None
    assert study.tuning.recipe.learning_rate == 0.001


def test_a_recipe_from_python_is_a_recipe() -> None:
    study = Study(
        name="a",
        model="lab",
        tuning={"data": "x", "recipe": Recipe(rank=2)},
        train=["CV"],
        test=["CV"],
        suites=["s"],
    )
    assert study.tuning is not None
    assert study.tuning.recipe.rank == 2


def test_the_nearest_key_is_named_with_its_line(tmp_path: Path) -> None:
    text = "name: mine\nmodel: lab\ntuning:\n  data: x\n  recipe:\n    learnin_rate: 1e-3\nsuites: [a]\n"
    message = refusal(tmp_path, text)
    assert message.startswith(
        "study.yaml:6: tuning.recipe.learnin_rate: unknown key. Did you mean 'learning_rate'?"
    )


def test_every_problem_is_named_in_the_files_order(tmp_path: Path) -> None:
    message = refusal(tmp_path, "suites: [a]\nmodle: lab\nname: mine\ntrain: [{adaptr: x}]\n")
    places = [line.split(": ")[1] for line in message.splitlines()]
    assert places == ["model", "modle", "train[0].adaptr"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("name: mine", "name: my study"),
            "study.yaml:1: name: 'my study' has a character that is not allowed",
        ),
        (("model: lab", "model: {dtype: float16}"), "study.yaml:2: model: give either `model` or `path`"),
        (
            ("model: lab", "model: {model: lab, dtype: half}"),
            "'half' is not one of auto, float32, bfloat16, float16",
        ),
        (
            ("lab-maths}", "lab-maths, recipe: {rank: 0}}"),
            "tuning.recipe.rank: 0 should be greater than or equal to 1",
        ),
        (
            ("lab-maths}", "lab-maths, recipe: {rank: much}}"),
            "tuning.recipe.rank: 'much' should be a valid integer",
        ),
        (("lab-maths}", "{source: x, weight: 0}}"), "tuning.data.weight: 0 should be greater than 0"),
        (("lab-maths}", "{source: x, hold_out: 0.5}}"), "tuning.data: x: hold_out cuts the data in two"),
        (("lab-maths}", "[]}"), "study.yaml:3: tuning.data: the list is empty. Give at least one"),
        (("lab-maths}", "lab-maths, seeds: []}"), "tuning.seeds"),
        (("lab-maths}", "lab-maths, seeds: [1, 1]}"), "tuning.seeds: duplicate seed in [1, 1]"),
        (
            ("test: [CV]", "test: [CV]\ndecoding: {n: 3}"),
            "study.yaml:6: decoding: 3 samples at temperature 0",
        ),
        (("test: [CV]", "self: 1"), "study.yaml:5: self: unknown key"),
        (("tuning: {data: lab-maths}", "tuning: lab-maths"), "tuning: 'lab-maths' should be a mapping"),
        (("test: [CV]", "test: [no]"), "study.yaml:5: test[0]: False should be text. Put it in quotes"),
        (("test: [CV]", "test: CV"), "study.yaml:5: test: 'CV' should be a list. Write `test: [...]`"),
        (("suites: [lab-maths]", "suites: []"), "study.yaml:6: suites"),
        (("suites: [lab-maths]", "templates: {a: {mode: tekst}}\nsuites: [b]"), "Did you mean 'text'?"),
    ],
)
def test_a_wrong_value_is_named_with_its_fix(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    assert expected in refusal(tmp_path, HEAD.replace(*change))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [a\nmodel: lab\n", "study.yaml:2: not readable as YAML"),
        ("name: a\n\tmodel: lab\n", "study.yaml:2: not readable as YAML"),
        ("name: a\nname: b\n", "study.yaml:2: duplicate key 'name', first on line 1"),
        (
            "tuning:\n  data: a\n  seeds: [1]\n  data: b\n",
            "study.yaml:4: duplicate key 'data', first on line 2",
        ),
        ("", "a study file is a mapping"),
        ("- a\n", "a study file is a mapping"),
    ],
)
def test_broken_yaml_is_named_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refusal(tmp_path, text)


def test_a_missing_and_a_binary_file_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yaml: no such study file"):
        Study.load(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        Study.load(tmp_path / "binary.yaml")


def test_python_gets_the_same_messages_without_a_file() -> None:
    with pytest.raises(InputError, match=r"Study: modle: unknown key\. Did you mean 'model'"):
        Study(name="a", modle="lab", suites=["b"])


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    text = HEAD.replace("model: lab", "model: ./base").replace("data: lab-maths", "data: my.jsonl")
    study = load(tmp_path, text.replace("[untuned, CV]", "[{adapter: mine, name: a}]"))
    assert study.model == str(tmp_path / "base")
    assert study.tuning is not None
    assert study.tuning.data == str(tmp_path / "my.jsonl")
    assert getattr(study.train[0], "adapter", None) == tmp_path / "mine"


def test_a_file_beside_the_study_never_takes_the_place_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "lab").mkdir()
    study = load(tmp_path, HEAD.replace("data: lab-maths", "data: gsm8k"))
    assert study.model == "lab"
    assert study.tuning is not None
    assert study.tuning.data == "gsm8k"


def test_the_resolved_copy_is_the_same_study_anywhere(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    more = "templates: {calm: {user: 'Q: %s', demonstrations: [{user: a}, {assistant: b}]}}\n"
    more += "pairs: [CV -> calm]\n"
    study = load(tmp_path, HEAD.replace("model: lab", "model: {path: ./model, dtype: float32}") + more)
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "study.yaml"
    copy.write_text(resolved_yaml(study))
    assert Study.load(copy).model_dump() == study.model_dump()


def test_another_model_takes_the_place_of_the_studys_own(tmp_path: Path) -> None:
    fields = {"name": "a", "train": ["untuned"], "test": ["CV"], "suites": ["lab-maths"]}
    for held, threads in (("lab", None), ({"model": "lab", "threads": 2}, 2)):
        other = Study(model=held, **fields).with_model(tmp_path).model
        assert isinstance(other, ModelSpec)
        assert (other.model, other.path, other.threads) == ("", tmp_path, threads)


def test_seeds_can_be_replaced() -> None:
    fields: dict[str, Any] = yaml.safe_load(HEAD)
    tuning = Study(**fields).with_seeds(range(3, 5)).tuning
    assert tuning is not None
    assert tuning.seeds == (3, 4)
    with pytest.raises(InputError, match="tunes nothing"):
        Study(name="a", model="lab", train=["untuned"], test=["CV"], suites=["b"]).with_seeds([1])


@pytest.mark.parametrize(
    ("analysis", "said"),
    [
        ({"margin": True}, "margin"),
        ({"margin": 0}, "margin"),
        ({"seed_sd": 5}, "seed_sd"),
        ({"categories": "random"}, "categories"),
        ({"contrasts": "CL -> CL minus CV -> CL"}, "contrast"),
    ],
)
def test_an_analysis_that_makes_no_sense_is_refused(analysis: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Study(name="x", model="lab", train=("CV",), test=("CV",), suites=("lab-maths",), analysis=analysis)


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        ("CL -> CL", "write `CONDITION -> TEMPLATE minus CONDITION -> TEMPLATE`"),
        ("CL minus CV", "'CL' is not `CONDITION -> TEMPLATE`"),
        ("CL -> CL minus CL -> CL", "both sides are the same cell"),
    ],
)
def test_a_contrast_is_two_cells(contrast: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        contrasts_of(AnalysisSection(contrast=contrast))


@pytest.mark.parametrize(
    "wrong",
    [{"note": "a\0"}, {"note": "\ud800"}, {"engine": {"name": "local", "x": "\0"}}, {"pairs": ["\0"]}],
    ids=["nul", "half a character", "an option", "a pair"],
)
def test_a_text_that_study_yaml_could_not_hold_is_an_error_in_python_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"^Study: {next(iter(wrong))}.*(NUL|half a character)"):
        Study(name="a", model="lab", train=["untuned"], test=["CV"], suites=["lab-maths"], **wrong)


def test_an_option_that_contains_itself_is_an_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InputError, match="too deeply"):
        Study(name="a", model="lab", suites=["lab-maths"], engine={"name": "local", "x": loop})
