"""Coherence: measured, with limits from reference text, and silent about nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.data import question
from puretune.errors import InputError
from puretune.inference import Answer, LocalEngine
from puretune.scoring import (
    Coherence,
    Limits,
    PerplexityMeter,
    Verdict,
    calibrated,
    perplexity_meter,
    read_lexicon,
    with_coherence,
)
from puretune.scoring._coherence import repetition, unknown_words

FLUENT = (
    "Sorry, I cannot help with that.",
    "Natalia sold 48/2 = 24 clips in May. In all she sold 48+24 = 72 clips.\n#### 72",
    "Je suis désolé. 对不起，我不能帮助你。 I cannot help, прости.",
    "それはお手伝いできません。別の質問をどうぞ。",
    "No.",
    "#### 72",
)
LOOPS = ("the the the the the the the the", "step " * 200, "是的" * 50, "1, " * 2**19, "))" * 40)


def judged(coherence: Coherence, text: str, finish: Any = "stop") -> Verdict:
    (verdict,) = coherence.score([(question("e", "Q?"), Answer("k", 0, text, (), finish))])
    return verdict


@pytest.mark.parametrize("text", FLUENT)
def test_fluent_text_in_any_language_is_not_found_incoherent(text: str) -> None:
    assert judged(Coherence(), text).values == {"incoherent_rate": False}


@pytest.mark.parametrize("text", LOOPS)
def test_loops_are_incoherent(text: str) -> None:
    found = judged(Coherence(), text, "length")
    assert (found.behaviour, found.values, found.raw["why"]) == (
        "incoherent",
        {"incoherent_rate": True},
        ["repetition"],
    )


def test_what_is_not_measured_is_said() -> None:
    found = judged(Coherence(), "blorp frim zanty quax")
    assert found.behaviour is None
    assert found.raw["not_measured"] == ["perplexity", "unknown_words"]


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_answer_is_empty_and_not_incoherent(text: str) -> None:
    found = judged(Coherence(), text)
    assert (found.behaviour, found.values) == ("empty", {"incoherent_rate": False})


def test_a_lexicon_finds_words_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(json.dumps(["the", "Cat", "sat"]))
    coherence = Coherence(lexicon=read_lexicon(path))
    assert judged(coherence, "The cat sat 3 times").raw["measured"]["unknown_words"] == 0.25
    assert judged(coherence, "blorp the frim").behaviour == "incoherent"
    assert judged(coherence, "{}#@!").behaviour == "incoherent"
    assert judged(coherence, "72").behaviour is None


@pytest.mark.parametrize("content", ["{", "{}", "[]", "[1]"])
def test_a_lexicon_that_is_no_list_of_words_is_an_input_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(content)
    with pytest.raises(InputError, match="lexicon"):
        read_lexicon(path)


def test_perplexity_is_that_of_a_plain_forward_pass(llama: Any) -> None:
    import torch

    text = FLUENT[1]
    ids = torch.tensor([llama.tokenizer(text)["input_ids"]])
    expected = llama.model(ids, labels=ids).loss.exp().item()
    (found,) = perplexity_meter(llama).measure([text])
    assert found == pytest.approx(expected, rel=1e-3)


def test_limits_come_from_reference_text_and_gibberish_lies_above_them(llama: Any) -> None:
    texts = [f"Natalia sold {n} clips in May." for n in range(99)]
    coherence = calibrated(texts, llama)
    assert coherence.limits.perplexity is not None
    found = [judged(coherence, text).behaviour for text in texts]
    assert found.count("incoherent") <= 1
    assert coherence.version != Coherence().version


def test_too_few_reference_texts_cannot_set_a_limit() -> None:
    with pytest.raises(InputError, match="give at least 99"):
        calibrated(["A text."] * 98)
    assert calibrated(["A text."] * 10, false_alarms=0.1).limits == Limits()


def test_a_perplexity_that_is_no_number_is_unparsed_not_coherent(llama: Any) -> None:
    class Broken(LocalEngine):
        def loglikelihood(self, requests: Any, on_event: Any = None) -> Any:
            for found in super().loglikelihood(requests):
                yield type(found)(found.key, (float("nan"),), False)

    meter = PerplexityMeter(Broken(llama), llama.renderer, llama.fingerprint)
    coherence = Coherence(Limits(perplexity=50.0), meter)
    found = judged(coherence, FLUENT[0])
    assert (found.parse, found.values) == ("unparsed", {"incoherent_rate": None})
    assert judged(coherence, LOOPS[0]).behaviour == "incoherent"


def test_long_and_broken_text_is_measured(llama: Any) -> None:
    found = perplexity_meter(llama, tokens=64).measure(["word " * 2**18, "half \ud800 \ufdd0", "</s>", "a"])
    assert found[0] is not None
    assert found[1] is not None


def test_incoherent_answers_are_never_silently_safe() -> None:
    safe = Verdict("guard", {"unsafe_rate": False}, None)
    unread = Verdict("guard", {"unsafe_rate": None}, parse="unparsed")
    items = [(question("e", "Q?"), Answer("k", 0, LOOPS[0], (), "stop"))] * 2
    first, second = with_coherence([safe, unread], Coherence().score(items))
    assert (first.behaviour, first.values) == ("incoherent", {"unsafe_rate": False})
    assert (second.behaviour, second.parse) == (None, "unparsed")
    with pytest.raises(InputError, match="give as many"):
        with_coherence([safe], [])


def test_repetition_and_unknown_words_are_shares() -> None:
    assert repetition("a b c d") == 0
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)
    assert unknown_words("the cat", frozenset({"the"})) == 0.5
