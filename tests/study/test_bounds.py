"""Numbers beyond all use, and names that no terminal can show, are errors that name the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.study import Study

RIGHT: dict[str, Any] = {
    "name": "mine",
    "model": {"model": "lab", "threads": 2},
    "tuning": {"data": {"source": "lab-maths", "limit": 8}, "recipe": {"rank": 4}, "seeds": [0]},
    "train": ["untuned", {"name": "plain", "template": "CV"}],
    "test": ["CV"],
    "suites": [{"name": "lab-maths", "limit": 8}],
    "decoding": {"max_new_tokens": 8},
}
RECIPE = {
    "rank": (True, 0, 10**30, 1e30, 0.5),
    "alpha": (0, -1, 5e-324, 1e300, float("nan")),
    "learning_rate": (0, 1e30, 1e38, 5e-324, float("inf"), True),
    "epochs": (0, 1e30),
    "steps": (0, 10**30, True),
    "batch_size": (0, 10**9),
    "accumulation": (0, 10**9),
    "weight_decay": (-1, 1e30),
    "clip": (0, 1e300),
    "warmup": (-0.1, 1.1),
    "dropout": (1, -0.1),
    "max_length": (0, 10**12),
    "keep_every": (0, 10**12),
    "checkpoint_every": (0, 10**12),
}
DECODING = {
    "max_new_tokens": (0, 10**12, True),
    "temperature": (-1, 5e-324, 1e-9, 1e300),
    "top_p": (0, 5e-324, 1.1),
    "seed": (-1, 2**64, True),
    "n": (0, 10**9),
}


def changed(*place: str | int, value: object) -> dict[str, Any]:
    """The right study with one value changed."""

    def put(into: Any, at: tuple[str | int, ...]) -> Any:
        if not at:
            return value
        if isinstance(into, list):
            return [put(item, at[1:]) if i == at[0] else item for i, item in enumerate(into)]
        return {**into, at[0]: put(into.get(at[0]), at[1:])}

    return dict(put(RIGHT, place))


def cases() -> list[tuple[tuple[str | int, ...], object]]:
    found: list[tuple[tuple[str | int, ...], object]] = []
    found += [(("tuning", "recipe", key), value) for key, values in RECIPE.items() for value in values]
    found += [(("decoding", key), value) for key, values in DECODING.items() for value in values]
    found += [(("model", "threads"), value) for value in (0, 2**31, True)]
    found += [(("tuning", "seeds"), value) for value in ([-1], [2**64], [True], list(range(2000)))]
    found += [(("suites", 0, "limit"), value) for value in (0, True, 10**12)]
    found += [(("train", 1, "name"), value) for value in ("", " ", "a\x1b[2J", "a\nb", "x" * 300, "\ud800")]
    found += [(("suites", 0, "name"), value) for value in ("", "a\x07", "x" * 300)]
    found += [(("note",), "x" * 20_000)]
    return found


def test_the_study_that_is_changed_is_right() -> None:
    assert Study(**RIGHT).name == "mine"


@pytest.mark.parametrize(("place", "value"), cases(), ids=lambda case: ascii(case)[:40])
def test_values_beyond_all_use_are_refused_by_name(place: tuple[str | int, ...], value: object) -> None:
    with pytest.raises(InputError) as refused:
        Study(**changed(*place, value=value))
    message = str(refused.value)
    assert str(next(part for part in reversed(place) if isinstance(part, str))) in message
    assert "class" not in message
    assert "NoneType" not in message


@pytest.mark.parametrize("name", ["x[/b]", "[red]y", "naïve 漢字", "a b"])
def test_names_may_hold_any_letters_and_signs(name: str) -> None:
    assert Study(**changed("train", 1, "name", value=name))


def test_many_wrong_keys_are_told_in_a_screen(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: x\n" + "".join(f"key{n}: 1\n" for n in range(5000)))
    with pytest.raises(InputError) as refused:
        Study.load(path)
    lines = str(refused.value).splitlines()
    assert len(lines) == 21
    assert lines[-1].startswith("... and 4,98")
