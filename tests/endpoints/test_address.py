"""Addresses, keys' variables and limits: what is taken, and how what is not is named."""

from __future__ import annotations

import math

import pytest

from puretune.endpoints import Limits, check_name, check_variable, located
from puretune.errors import InputError


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:0/v1",
        "http://127.0.0.1:-1/v1",
        "http://127.0.0.1:port/v1",
        "http://[::1/v1",
        "http://[::zz]/v1",
        "ftp://host/v1",
        "localhost:8000",
        "http://",
        "http:///v1",
        "http://ho st/v1",
        "http://host\x00/v1",
        "http://host/v\x1b1",
        "http://-host/v1",
        "http://a..b/v1",
        "http://" + "h" * 300 + "/v1",
        "http://host/" + "v" * 3000,
        "http://host/v1?key=1",
        "http://host/v1#part",
        "http://user:hunter2@host/v1",
        "ftp://user:hunter2@host/v1",
        "http://user:hunter2@host:99999/v1",
        "http://höst/v1",
    ],
)
def test_what_is_no_address_is_named_without_its_password(url: str) -> None:
    with pytest.raises(InputError, match="base_url: ") as caught:
        located(url, None)
    said = str(caught.value)
    assert "hunter2" not in said
    assert said.isprintable()
    assert len(said) < 300


@pytest.mark.parametrize(
    ("url", "known"),
    [
        (" HTTP://Host.Example:8000/v1/ ", "http://host.example:8000/v1"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://model_server/a%20b", "http://model_server/a%20b"),
    ],
)
def test_an_address_has_one_spelling(url: str, known: str) -> None:
    assert located(url, None) == (known, None)


@pytest.mark.parametrize(
    "limit",
    [
        {"total": -1},
        {"total": 0},
        {"total": math.nan},
        {"read": math.inf},
        {"connect": 1e300},
        {"tries": 0},
        {"tries": -1},
        {"tries": 2.5},
        {"tries": True},
        {"tries": 10**30},
        {"patience": -1},
        {"patience": math.nan},
        {"read": True},
    ],
)
def test_a_limit_that_makes_no_sense_is_named(limit: dict[str, float]) -> None:
    (name,) = limit
    with pytest.raises(InputError, match=rf"limits\.{name}: "):
        Limits(**limit)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[2J", "a\u202eb", "a\nb", "a" * 201, "a\ud800"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="model: "):
        check_name("model", name)
    check_name("model", "meta-llama/Llama-2-7b-chat-hf:ft@2026")


def test_a_key_in_the_place_of_its_variable_is_not_shown() -> None:
    with pytest.raises(InputError, match="never the key itself") as caught:
        check_variable("api_key_env", "sk-proj-123")
    assert "sk-proj-123" not in str(caught.value)
    check_variable("api_key_env", None)
    check_variable("api_key_env", "OPENAI_API_KEY")
