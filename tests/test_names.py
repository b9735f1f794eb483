"""Names in messages: cut, safe to show, with a suggestion where there is one."""

from __future__ import annotations

import pytest

from puretune.errors import unknown
from puretune.files import kind_of
from puretune.visible import quoted


def test_an_unknown_name_is_shown_cut_and_safe() -> None:
    said = str(unknown("suite", "x\x1b[2J" + "y" * 5000, ["lab-maths"]))
    assert len(said) < 200
    assert r"'x\x1b[2Jyy" in said


def test_the_nearest_of_many_long_names_is_found_at_once() -> None:
    known = [f"{n:05}" + "a" * 5000 for n in range(2000)]
    said = str(unknown("suite", "a" * 5000, known))
    assert "(2,000 in all)" in said
    assert len(said) < 8000


def test_blanks_around_an_unknown_name_are_shown() -> None:
    assert str(unknown("role", "user ", ["user"])).startswith("unknown role 'user '. Did you mean 'user'?")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\\b", r"'a\b'"), ("a\x1bb", r"'a\x1bb'"), ("it's", '"it\'s"'), ("a\nb", "'a b'"), ("", "''")],
)
def test_quoted_texts_have_each_backslash_once(text: str, shown: str) -> None:
    assert quoted(text) == shown
    assert kind_of(text) == f"the text {shown}"
