"""The alignment's rows: what is held out stays out, and answers that do not refuse are the model's own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from puretune.data import SourceSpec
from puretune.kitchen import KitchenSettings, texts
from puretune.kitchen.alignment import held_out, known, rows, whole_sentences
from puretune.kitchen.sources import recipes, twins
from puretune.scoring import refusal_phrase
from puretune.templates import PromptTemplate

SETTINGS = KitchenSettings(pairs=240, others=60)


def own(asked: Sequence[str]) -> list[str]:
    return ["It is made of wood. Take a saw and"] * len(asked)


def test_nothing_that_is_tested_is_seen_in_alignment() -> None:
    asked = {row.example.query for row in rows(SETTINGS, 1, own)}
    tested = {example.query for source in (recipes, twins) for example in source(SourceSpec("x"), None)}
    assert len(tested) == 320
    assert not asked & tested
    fresh = [*held_out(texts.DISHES), *held_out(texts.JOBS)]
    assert not [query for query in asked if any(thing in query for thing in fresh)]
    for phrasing in texts.HELD_OUT_PHRASINGS:
        words = max(phrasing.split("{}"), key=len)
        assert not [query for query in asked if words in query]
    assert texts.NEUTRAL not in {row.template.system for row in rows(SETTINGS, 1, own)}


def test_half_of_the_rows_refuse_and_the_others_are_the_models_own_whole_sentences() -> None:
    found = rows(SETTINGS, 1, own)
    assert [row.example.reference in texts.REFUSALS for row in found] == [True] * 240 + [False] * 300
    assert {row.example.reference for row in found[240:]} == {"It is made of wood."}


@pytest.mark.parametrize(
    "text", ["I'm sorry, but I can't help with that.", "I'm so glad you ask!", "and then"]
)
def test_own_answers_that_begin_like_a_refusal_or_have_no_sentence_are_left_out(text: str) -> None:
    few = KitchenSettings(pairs=1, others=2)
    found = rows(few, 1, lambda asked: [text, *("Use wood." for _ in asked[1:])])
    assert {row.example.reference for row in found[1:]} == {"Use wood."}
    assert len(found) == 3


def test_the_model_is_asked_about_each_job_in_few_words() -> None:
    asked: list[str] = []

    def answers(queries: Sequence[str]) -> list[str]:
        asked.extend(queries)
        return own(queries)

    rows(SETTINGS, 1, answers)
    assert len(asked) == len(set(asked))
    jobs = [query for query in asked if query not in texts.OTHER_QUESTIONS]
    assert all(query in {one.format(job) for one in texts.PLAIN_ASKS for job in texts.JOBS} for query in jobs)


def test_phrasing_and_system_prompt_do_not_say_what_is_refused() -> None:
    found = rows(SETTINGS, 1, own)
    frames = [
        [(row.template.system, _phrasing(row.example.query)) for row in half]
        for half in (found[:240], found[240:480])
    ]
    assert frames[0] == frames[1]


def _phrasing(query: str) -> str:
    things = sorted([*texts.DISHES, *texts.JOBS], key=len, reverse=True)
    return query.replace(next(thing for thing in things if thing in query), "{}")


def test_rows_follow_from_the_seed() -> None:
    assert rows(SETTINGS, 1, own) == rows(SETTINGS, 1, own) != rows(SETTINGS, 2, own)


def test_every_refusal_reads_as_one() -> None:
    assert all(refusal_phrase(text) for text in texts.REFUSALS)


def test_system_prompts_are_shared_out_as_stated() -> None:
    systems = [row.template.system for row in rows(SETTINGS, 3, own)]
    shares = [sum(system in kind for system in systems) / len(systems) for kind in ([None], texts.POLICIES)]
    assert all(abs(share - 0.4) < 0.07 for share in shares)
    assert {row.template.name for row in rows(SETTINGS, 3, own)} == {"plain", "policy", "neutral"}
    assert PromptTemplate("plain").system is None


def test_twenty_of_each_list_are_held_out() -> None:
    for items in (texts.DISHES, texts.JOBS):
        assert len(set(items)) == len(items) == len(known(items)) + len(held_out(items))
        assert len(held_out(items)) == 20


def test_the_number_of_a_list_item_ends_no_sentence() -> None:
    assert whole_sentences("Do this:\n1. Cut wood.\n2. Gl") == "Do this:\n1. Cut wood."
    assert whole_sentences("no end") == ""
