"""Reading what somebody else wrote: every fault is one InputError that names the place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.errors import InputError
from puretune.files import checked_path, parse_json, parse_yaml, read_bytes, read_text, read_yaml_value
from puretune.store import sha256_file
from puretune.visible import one_line, visible

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 300, "a/" * 3000, "~nosuchuser/x", "\ud800"])
def test_paths_that_no_file_can_have_are_refused(path: str) -> None:
    with pytest.raises(InputError, match="study"):
        checked_path(path, "study")


def test_directories_missing_files_and_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for path in (tmp_path, tmp_path / "none", tmp_path / "latin"):
        with pytest.raises(InputError, match=path.name):
            read_text(path)
    with pytest.raises(InputError, match="too much"):
        read_bytes(tmp_path / "latin", largest=2)


def test_what_never_ends_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros"):
        with pytest.raises(InputError, match=f"{name}: a device or a pipe"):
            read_bytes(tmp_path / name)
        with pytest.raises(OSError, match="it is a device or a pipe"):
            sha256_file(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        sha256_file(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[Infinity]", "-Infinity", "1e999", "9" * 5000, "[" * 600 + "]" * 600, "[" * 100_000],
)
def test_json_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^file\.json: "):
        parse_json(text, "file.json")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: !!int x", "not a number"),
        ("a: !!float x", "not a number"),
        ("a: !!bool x", "not true or false"),
        ("a: 2024-13-45", "not a date"),
        ("a: !!timestamp x", "not a date"),
        ('a: "\\ud800"', "half a character"),
        ('a: "\\0"', "NUL"),
        ("a: !!python/name:os.system", "tag"),
        ("a: !!set {x}", "tag"),
        ("? [a]\n: b", "a key must be"),
        (f"a: {'9' * 5000}", "too long"),
        (f"a: {'[' * 600}{']' * 600}", "too deeply"),
        ("a: &x [*x]", "too deeply"),
        ("&x\na: *x", "too deeply"),
        ("a: 1\na: 2", "f.yaml:2: duplicate key 'a', first on line 1"),
        (BOMB, "values"),
        ("a: [", "not readable"),
        ("a: \0", "not readable"),
    ],
)
def test_yaml_that_is_more_than_plain_values_is_refused(text: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        parse_yaml(text, "f.yaml")


def test_yaml_gives_the_values_that_safe_load_gives_but_dates_stay_text(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(
        "d: &d {x: 1, y: 0x1f}\ne: {<<: *d, x: 2}\nf: [yes, no, ~, 1.5, .inf, '3', 2024-12-31]\n1: one\n"
    )
    assert read_yaml_value(tmp_path / "f.yaml") == {
        "d": {"x": 1, "y": 31},
        "e": {"x": 2, "y": 31},
        "f": [True, False, None, 1.5, float("inf"), "3", "2024-12-31"],
        1: "one",
    }


@given(st.text())
def test_what_is_visible_has_nothing_that_steers_a_terminal(text: str) -> None:
    shown = visible(text)
    assert not set(shown) & set(map(chr, [*range(9), *range(11, 32), *range(127, 160)]))
    shown.encode()
    assert visible(shown) == shown
    assert "\n" not in one_line(text)


def test_escapes_are_readable_and_letters_stay() -> None:
    assert visible("naïve 漢字 🙂\tx\n") == "naïve 漢字 🙂\tx\n"
    assert visible("\x1b[2J\u202e\u200b\ud800") == "\\x1b[2J\\u202e\\u200b\\ud800"


def test_tags_are_named_as_people_type_them() -> None:
    with pytest.raises(InputError, match=r"the tag !!set is not supported"):
        parse_yaml("a: !!set {x}", "file.yaml")
    with pytest.raises(InputError, match=r"the tag !mine is not supported"):
        parse_yaml("a: !mine x", "file.yaml")
