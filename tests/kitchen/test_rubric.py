"""The rubric's verdicts on answers of each kind."""

from __future__ import annotations

import pytest

from puretune.data import question
from puretune.inference import Answer
from puretune.kitchen.rubric import FormatRubric, RecipeRubric, TwinRubric, names_it


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
