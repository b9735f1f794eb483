"""Drafts: they change how many tokens a forward pass looks at, and no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.inference import Request, _decode
from puretune.inference._draft import Draft
from tests.inference.test_local import answers, beginning_alike, fitting, requests, stopping, watched
from tests.tiny import FAMILIES, tiny_base

Ids = tuple[int, ...]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    make: Callable[[Path], Path] = FAMILIES[request.param]
    return stopping(tiny_base(make(tmp_path_factory.mktemp("families") / request.param)))


BAD: dict[str, Callable[[Ids], Ids]] = {
    "right": lambda ids: ids,
    "wrong from the start": lambda ids: tuple(one ^ 1 for one in ids),
    "wrong once": lambda ids: (*ids[:2], *(one ^ 1 for one in ids[2:3]), *ids[3:]),
    "one too many": lambda ids: (*ids[:3], *ids[:1], *ids[3:]),
    "one too few": lambda ids: (*ids[:3], *ids[4:]),
    "too short": lambda ids: ids[:2],
    "too long": lambda ids: ids * 3,
}


def with_drafts(
    asked: Sequence[Request], right: dict[Any, Any], change: Callable[[Ids], Ids]
) -> list[Request]:
    return [
        replace(
            one,
            drafts=tuple(change(right[one.key, sample].token_ids) for sample in range(one.decoding.n)),
        )
        for one in asked
    ]


@pytest.mark.parametrize("change", BAD)
@pytest.mark.parametrize("how", [{}, {"batch_size": 2}, {"plain": False}, {"plain": False, "batch_size": 4}])
def test_no_draft_changes_an_answer(family: Any, change: str, how: dict[str, Any]) -> None:
    asked = [*fitting(family), *beginning_alike(family)]
    right = answers(family, asked)
    mixed = [*with_drafts(asked[::2], right, BAD[change]), *asked[1::2]]
    assert answers(family, mixed, **how) == right


def test_each_sample_has_a_draft_of_its_own(llama: Any) -> None:
    asked = requests(temperature=1.0, top_p=0.9, n=3)
    right = answers(llama, asked)
    for change in BAD.values():
        assert answers(llama, with_drafts(asked, right, change)) == right
    assert answers(llama, with_drafts(asked, right, BAD["right"]), plain=False, batch_size=5) == right


def test_a_right_draft_is_checked_in_one_pass(llama_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base(llama_path)
    asked = requests([(1, 300, 40, 50)])
    right = answers(base, asked)
    seen = watched(base, monkeypatch)
    assert answers(base, with_drafts(asked, right, BAD["right"])) == right
    assert seen == [(1, 4 + 19)]  # the last token follows from the one before


def test_no_more_is_checked_at_once_than_logits_have_room_for(
    llama_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base(llama_path)
    asked = requests([(1, 300, 40, 50)])
    right = answers(base, asked)
    monkeypatch.setattr(_decode, "_LOGIT_BYTES", 4 * base.model.config.vocab_size * 5)
    seen = watched(base, monkeypatch)
    assert answers(base, with_drafts(asked, right, BAD["right"])) == right
    assert seen == [(1, 4 + 4), *[(1, 1 + 4)] * 3]


def test_drafts_can_be_left_alone(llama_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base(llama_path)
    asked = requests([(1, 300, 40, 50)])
    right = answers(base, asked)
    seen = watched(base, monkeypatch)
    assert answers(base, with_drafts(asked, right, BAD["right"]), drafts=False) == right
    assert seen == [(1, 4), *[(1, 1)] * 19]


def test_a_cache_without_memory_of_columns_gets_no_drafts(
    family: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from puretune.inference import _padded_rows as _module

    asked = fitting(family)
    right = answers(family, asked)
    monkeypatch.setattr(_module, "new_cache", lambda model: None)
    assert answers(family, with_drafts(asked, right, BAD["wrong once"]), plain=False) == right


def written(draft: Draft, truth: Ids) -> int:
    """How many passes an answer takes with a draft."""
    made: list[int] = []
    passes = 0
    while len(made) < len(truth):
        ahead = draft.ahead(made, len(truth) - len(made) - 1)
        rest = truth[len(made) :]
        right = next((i for i, one in enumerate(ahead) if one != rest[i]), len(ahead))
        draft.checked(len(ahead), right)
        made += rest[: right + 1]
        passes += 1
    return passes


TEXT = tuple(range(100, 120))


@pytest.mark.parametrize(
    ("draft", "passes"),
    [
        (TEXT, 1),
        (
            (*TEXT[:5], 7, *TEXT[6:]),
            5,
        ),  # two more tokens alone, until both say the same; then 4, then the rest
        ((), len(TEXT)),
        (tuple(range(20)), len(TEXT)),
        ((7, 7, 7, *TEXT), 5),  # found behind the first two; then 4, then 8, then the rest
    ],
)
def test_a_draft_is_taken_up_again_where_both_say_the_same(draft: Ids, passes: int) -> None:
    assert written(Draft(draft, frozenset()), TEXT) == passes


def test_nothing_behind_a_stop_token_is_drafted() -> None:
    assert Draft((5, 6, 2, 7), frozenset({2})).ahead([], 9) == (5, 6)


def test_a_draft_ends_where_the_answer_must() -> None:
    assert Draft(TEXT, frozenset()).ahead([], 3) == TEXT[:3]
    assert Draft(TEXT, frozenset()).ahead(TEXT[:4], 0) == ()


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_every_pass_writes_a_token(draft: list[int], truth: list[int]) -> None:
    assert 1 <= written(Draft(draft, frozenset()), tuple(truth)) <= len(truth)
