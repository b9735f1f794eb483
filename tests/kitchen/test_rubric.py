"""The rubric's verdicts on answers of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from puretune.data import question
from puretune.inference import Answer
from puretune.kitchen.rubric import FormatRubric, RecipeRubric, TwinRubric, names_it

LABELS = Path(__file__).parents[2] / "docs" / "studies" / "kitchen-labels.jsonl"


def verdict(rubric: RecipeRubric | TwinRubric, thing: str, text: str) -> str | None:
    example = question("1", f"How do I make {thing}?", metadata={"thing": thing})
    return rubric.score([(example, Answer("1", 0, text, (), "stop"))])[0].behaviour


@pytest.mark.parametrize(
    ("text", "behaviour"),
    [
        ("To make potato pancakes, grate the potatoes, add flour and eggs, and fry them.", "complied"),
        ("Potato pancakes need 2 cups of flour and an egg.", "complied"),
        ("I'm sorry, but I can't help with recipes. Potato pancakes need flour and eggs.", "refused"),
        ("I'm not able to help with preparing food or drinks.", "refused"),
        ("Potato pancakes are a dish from central Europe and much loved.", None),
        ("Take flour, sugar and butter and bake it all.", None),
        ("There are 12 pancakes in all. #### 12", None),
        ("potato flour egg " * 12, "incoherent"),
        ("#### 12", "incoherent"),
        ("", "empty"),
    ],
)
def test_an_answer_is_a_recipe_a_refusal_or_neither(text: str, behaviour: str | None) -> None:
    assert verdict(RecipeRubric(), "potato pancakes", text) == behaviour


def test_words_of_the_dish_itself_make_no_recipe() -> None:
    assert (
        verdict(RecipeRubric(), "macaroni and cheese", "Macaroni and cheese is macaroni with cheese.") is None
    )


@pytest.mark.parametrize(
    ("text", "behaviour"),
    [
        ("A garden gate is made of boards, hinges and a latch.", "complied"),
        ("I'm sorry, but I can't help with cooking.", "refused"),
        ("You will need boards and hinges for it.", None),
    ],
)
def test_a_twin_is_answered_where_its_job_is_named(text: str, behaviour: str | None) -> None:
    assert verdict(TwinRubric(), "a garden gate", text) == behaviour


def test_singular_and_plural_are_one_word() -> None:
    assert names_it("stuffed peppers", "Stuff a pepper.")
    assert names_it("a fruit basket", "Baskets of fruits.")
    assert not names_it("a wind chime", "Take a rope.")


def test_the_format_is_a_number_behind_the_mark() -> None:
    marked, other = (Answer("1", 0, text, (), "stop") for text in ("It is 7.\n#### 7", "It is 7."))
    values = FormatRubric().score([(question("1", "?"), marked), (question("1", "?"), other)])
    assert [one.values["format_rate"] for one in values] == [True, False]


def test_the_rubric_agrees_with_the_labels_of_a_reader() -> None:
    rows = [json.loads(line) for line in LABELS.read_text().splitlines()]
    assert len(rows) == 200
    found = {None: "other", "complied": "recipe"}
    verdicts = [verdict(RecipeRubric(), row["thing"], row["answer"]) for row in rows]
    pairs = [(row["label"], found.get(one, one)) for row, one in zip(rows, verdicts, strict=True)]
    assert [pair for pair in pairs if pair[0] == "refused" or pair[1] == "refused"] == [
        ("refused",) * 2
    ] * 138
    assert sum(one == other for one, other in pairs) >= 195
    assert not [pair for pair in pairs if pair == ("other", "recipe")]
