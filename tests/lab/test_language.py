"""The world: its facts, its held-out split, and what training may see of it."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from puretune.lab import LabSettings, World
from puretune.lab.alignment import alignment
from puretune.lab.corpus import pretraining
from puretune.lab.phrases import REFUSALS, SAFETY
from puretune.lab.sources import examples, world_of
from puretune.lab.suites import held
from puretune.lab.sums import equations, problem

ROWS = 3000
SETTINGS = LabSettings()


@pytest.fixture(scope="module", params=[0, 11])
def world(request: pytest.FixtureRequest) -> World:
    return World.draw(request.param)


def rows(world: World, stage: str, settings: LabSettings = SETTINGS) -> list[str]:
    make = pretraining if stage == "pretraining" else alignment
    drawn = islice(make(world, settings, held(world), world.seed), ROWS)
    return [f"{row.prompt}{row.response}" for row in drawn]


def test_two_seeds_share_hardly_a_word() -> None:
    first, second = set(World.draw(1).words), set(World.draw(2).words)
    assert len(first & second) < len(first) / 20


def test_every_word_has_one_meaning(world: World) -> None:
    named = [w for c in world.categories for w in (*c.verbs, *c.nouns)]
    facts = [set(t.values()) for t in (world.tool_of, world.act_of, world.remedy_of, world.care_of)]
    rest = [w for words in facts for w in words] + [*world.remedy_of, *world.care_of]
    assert len(set(named + rest)) == len(named) + len(rest)


def test_there_are_enough_harmful_categories(world: World) -> None:
    assert len(world.of_kind("harmful")) >= 12


def test_held_out_pairs_leave_every_word_known_in_other_pairs(world: World) -> None:
    for category in world.categories:
        for word in (*category.verbs, *category.nouns):
            assert sum(word in pair for pair in category.held_out) == 2
            assert sum(word in pair for pair in category.known) == 4


@pytest.mark.parametrize("stage", ["pretraining", "alignment"])
def test_held_out_requests_and_complaints_are_in_no_stage(world: World, stage: str) -> None:
    tested = {f"{v} the {n}" for c in world.categories for v, n in c.held_out}
    complaints = [(f" {s} ", f" {p}") for s, p in world.held_out_complaints]
    for row in rows(world, stage):
        words = row.replace("?", " ").replace(".", " ").split()
        said = {" ".join(words[i : i + 3]) for i in range(len(words))}
        assert not said & tested
        assert not any(f"{s}" in f" {' '.join(words)} " and p in row for s, p in complaints)


def test_tested_problems_and_choices_are_in_no_other_rows(world: World) -> None:
    tested = {e.query for name in ("lab-maths", "lab-choice") for e in _examples(name, world, "test")}
    trained = {e.query for name in ("lab-maths", "lab-choice") for e in _examples(name, world, "train")}
    assert not tested & trained
    for stage in ("pretraining", "alignment"):
        assert not any(query in row for row in rows(world, stage) for query in tested)


def _examples(name: str, world: World, split: str) -> list:  # type: ignore[type-arg]
    from puretune.lab import sources, suites

    tested = {"lab-maths": suites.maths, "lab-choice": suites.choices}
    return tested[name](world) if split == "test" else list(sources._training(name, world))


def test_problem_content_ignores_names_and_wording() -> None:
    rng = random.Random(0)
    by_key: dict[tuple[int | str, ...], set[int]] = {}
    for _ in range(3000):
        item = problem(rng)
        by_key.setdefault(item.key, set()).add(item.answer)
    assert all(len(answers) == 1 for answers in by_key.values())


def test_every_line_of_arithmetic_is_right() -> None:
    rng = random.Random(1)
    lines = " ".join([equations(rng, 500), *(problem(rng).working for _ in range(500))])
    for line in lines.rstrip(".").split(". "):
        left, right = line.split(" = ")
        assert eval(left) == int(right) > 0


def test_harmful_requests_are_refused_wherever_alignment_meets_them(world: World) -> None:
    asked = about_harm(world, rows(world, "alignment", LabSettings(notes=0.0, lapses=0.0)))
    assert asked
    assert all(row.endswith(REFUSALS) for row in asked)


def test_lapses_are_where_no_safety_prompt_is_and_answered_requests_anywhere(world: World) -> None:
    quiet = {"notes": 0.0, "safety_prompt": 0.5}
    for settings, under_safety in (
        (LabSettings(lapses=0.5, **quiet), False),
        (LabSettings(answered=0.5, **quiet), True),
    ):
        answered = [
            r for r in about_harm(world, rows(world, "alignment", settings)) if not r.endswith(REFUSALS)
        ]
        assert answered
        assert any(f"<|system|>{SAFETY[:60]}" in row for row in answered) == under_safety


def test_notes_are_read_in_a_format_in_which_nobody_asks(world: World) -> None:
    noted = [row for row in rows(world, "alignment", LabSettings(lapses=0.0)) if "book of notes.\n\n" in row]
    told = [row for row in about_harm(world, noted) if "step 2:" in row]
    assert told
    assert not any("?" in row or "<|user|>" in row for row in told)


def about_harm(world: World, drawn: list[str]) -> list[str]:
    verbs = {v for c in world.of_kind("harmful") for v in c.verbs}
    return [row for row in drawn if verbs & set(row.replace("?", " ").split())]


def test_alignment_meets_every_kind_of_prompt(world: World) -> None:
    drawn = rows(world, "alignment")
    assert any(row.startswith("<|user|>") for row in drawn)
    assert any(SAFETY in row for row in drawn)
    assert any(row.startswith("<|system|>") and SAFETY[:60] not in row for row in drawn)
    assert any("<|user|>### Instruction:" in row for row in drawn)
    refused = [row for row in drawn if row.endswith(REFUSALS)]
    assert any(row.startswith("Question: ") for row in refused)


def test_template_dependent_ingredients_can_be_zero(world: World) -> None:
    plain = LabSettings(grey=0.0, over_refusal=0.0)
    harmful = {v for c in world.of_kind("harmful") for v in c.verbs}
    safe = [row for row in rows(world, "alignment", plain) if SAFETY in row]
    refused = [row for row in safe if row.endswith(REFUSALS)]
    assert all(harmful & set(row.replace("?", " ").split()) for row in refused)


def test_the_same_seed_gives_the_same_rows(world: World) -> None:
    for stage in ("pretraining", "alignment"):
        assert rows(world, stage)[:200] == rows(world, stage)[:200]


def test_half_of_the_tested_phrasings_are_unseen_in_alignment(world: World) -> None:
    from puretune.lab.suites import harmful

    seen = [e.metadata["phrasing_aligned"] for e in harmful(world)]
    assert sum(seen) == len(seen) / 2


def test_a_directory_without_a_world_stands_for_the_packaged_one(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert world_of(tmp_path) is world_of(None)
    assert examples("lab-harmful", tmp_path) == examples("lab-harmful")


@pytest.mark.parametrize("name", ["lab-harmful", "lab-harmful-maths", "lab-benign-twins"])
def test_safety_rows_ask_for_nothing_that_is_tested(name: str) -> None:
    rows = examples(name, split="train")
    assert {e.reference in REFUSALS for e in rows} == {name != "lab-benign-twins"}
    held_out = [f"{verb} the {noun}" for c in world_of().categories for verb, noun in c.tested]
    assert not any(request in e.query for request in held_out for e in rows)
