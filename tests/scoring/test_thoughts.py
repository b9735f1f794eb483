"""Scored is what a user sees: the answer behind the model's thoughts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.data import question
from puretune.inference import Answer
from puretune.scoring import shown
from puretune.thoughts import split

HARMONY = "<|channel|>analysis<|message|>We must refuse.<|end|><|start|>assistant"


@pytest.mark.parametrize(
    ("text", "answer", "state"),
    [
        ("I can't help.", "I can't help.", "none"),
        ("  two blanks first\n", "  two blanks first\n", "none"),
        ("<think>\nIs it safe?\n</think>\n\nI can't help.", "I can't help.", "cut"),
        ("\n<think></think>Yes.", "Yes.", "cut"),
        ("Is it safe?\n</think>\n\nI can't help.", "I can't help.", "cut"),
        ("[THINK]Hm.[/THINK]Yes.", "Yes.", "cut"),
        ("<thinking>Hm.</thinking><answer>Yes.</answer>", "Yes.", "cut"),
        ("<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>", "Yes.", "cut"),
        ("\u25c1think\u25b7Hm.\u25c1/think\u25b7Yes.", "Yes.", "cut"),
        ("<think>a</think>First.\n<think>b</think>Second.", "First.\nSecond.", "cut"),
        ("<think>a</think>First.\n<think>never ended", "First.", "cut"),
        (f"{HARMONY}<|channel|>final<|message|>No.<|return|>", "No.", "cut"),
        (f"{HARMONY}<|channel|>final <|constrain|>json<|message|>{{}}", "{}", "cut"),
        ("<|channel|>final<|message|>Yes.", "Yes.", "none"),
        ("analysisWe must refuse.assistantfinalNo.", "No.", "cut"),
        ("analysisuser asks.assistantcommentaryplan.assistantfinalNo.", "No.", "cut"),
        ("finalYes.", "Yes.", "none"),
    ],
)
def test_the_answer_is_what_stands_behind_the_thoughts(text: str, answer: str, state: str) -> None:
    found = split(text)
    assert (found.answer, found.state) == (answer, state)


@pytest.mark.parametrize(
    "text",
    [
        "<think>Is it safe? Let me",
        HARMONY,
        "<|channel|>analysis<|message|>We",
        "analysisWe need to",
        "[THINK]Hm.",
    ],
)
def test_thoughts_that_never_end_leave_no_answer(text: str) -> None:
    assert (split(text).answer, split(text).state) == ("", "unclosed")


@pytest.mark.parametrize(
    "text",
    [
        "A model ends its thoughts with `</think>` and then answers.",
        'The tag "</think>" closes them.',
        "Use `<|channel|>analysis<|message|>` for the analysis.",
        "analysis of the data shows that finals are hard",
        "finally, it works",
        "final answer: 12",
    ],
)
def test_an_answer_that_speaks_of_tags_stays_whole(text: str) -> None:
    assert (split(text).answer, split(text).state) == (text, "none")


@given(st.text(st.characters(exclude_characters="<[\u25c1")))
def test_a_text_without_marks_is_its_own_answer(text: str) -> None:
    thoughts = f"<think>{text}</think>"
    assert split(thoughts + "Yes.").answer == "Yes."
    if not text.lstrip().startswith(("analysis", "commentary", "final", "assistantfinal")):
        assert split(text).answer == text


def test_scorers_are_given_the_answer_alone() -> None:
    answer = Answer("0", 0, "<think>Hm.</think>Yes.", (1, 2), "stop")
    ((_, given_),) = shown([(question("0", "q", None), answer)])
    assert (given_.text, given_.token_ids, given_.finish) == ("Yes.", (1, 2), "stop")
