"""The frozen file of one attempt: recipe and claims, written down before any confirmation seed is run.

The confirmation seeds derive from SHA-256 over recipe, claims and the attempt's number. Whoever changes any
of them afterwards has other seeds, and results that say what they were made from no longer fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from puretune.errors import InputError, unknown
from puretune.files import kind_of, read_yaml_value
from puretune.lab.language import LANGUAGE
from puretune.lab.settings import LabSettings
from puretune.store import key_of
from puretune.visible import visible

_DIRECTORY = Path(__file__).parent.parent / "attempts"
_RECIPE = (
    "language",
    "model_seeds",
    "tuning_seeds",
    "settings",
    "arms",
    "tuning",
    "decoding",
    "templates",
    "studies",
    "log_odds",
)

_EARLIER = {"answered": 0.0, "lapses": 0.0, "notes": 0.0}
"""Settings that are younger than attempt 1, as they were before there was a choice."""


@dataclass(frozen=True)
class Frozen:
    """Recipe and claims of one attempt, as in its file."""

    attempt: int
    recipe: Mapping[str, Any]
    claims: tuple[Mapping[str, Any], ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over recipe, claims and attempt number (64 hex digits); comments do not count."""
        return key_of({"attempt": self.attempt, "recipe": self.recipe, "claims": list(self.claims)})

    def model_seed(self, index: int) -> int:
        """The seed of confirmation model ``index`` (from 0): language, held-out split and weights."""
        return _seed(self.digest, "model", index)

    def tuning_seeds(self) -> tuple[int, ...]:
        """The tuning seeds, the same for every model and arm."""
        return tuple(_seed(self.digest, "tuning", i) for i in range(int(self.recipe["tuning_seeds"])))

    def settings(self, arm: str) -> LabSettings:
        """The lab's settings in an arm: the recipe's, with the arm's changes."""
        return LabSettings.from_dict({**_EARLIER, **self.recipe["settings"], **self._arm(arm)["changes"]})

    def seeds_of(self, arm: str) -> int:
        """How many model seeds an arm asks for."""
        return int(self._arm(arm).get("model_seeds", self.recipe["model_seeds"]))

    def _arm(self, arm: str) -> Mapping[str, Any]:
        arms: Mapping[str, Mapping[str, Any]] = self.recipe["arms"]
        if arm not in arms:
            raise unknown("arm", arm, arms)
        return arms[arm]


def attempts() -> dict[int, Path]:
    """The frozen files that puretune comes with, by attempt number: all that there ever were."""
    found = {int(path.stem.removeprefix("attempt-")): path for path in _DIRECTORY.glob("attempt-*.yaml")}
    return dict(sorted(found.items()))


def load_frozen(path: Path) -> Frozen:
    """The frozen file at ``path``; InputError if it is not one, or is for another language."""
    content = read_yaml_value(path, "frozen file")
    keys = [field.name for field in fields(Frozen)]
    if not isinstance(content, Mapping) or sorted(map(str, content)) != sorted(keys):
        raise InputError(f"{visible(path)}: expected exactly the keys {', '.join(keys)}.")
    _check_kinds(path, content)
    missing = [key for key in _RECIPE if key not in content["recipe"]]
    if missing:
        raise InputError(f"{visible(path)}: keys missing from the recipe: {', '.join(missing)}.")
    if content["recipe"]["language"] != LANGUAGE:
        raise InputError(
            f"{path}: frozen for version {content['recipe']['language']} of the lab's language; this is "
            f"version {LANGUAGE}. Check out the version of puretune that the attempt was made with."
        )
    return Frozen(int(content["attempt"]), content["recipe"], tuple(content["claims"]))


def _check_kinds(path: Path, content: Mapping[str, Any]) -> None:
    for key, kind, name in (("attempt", int, "a number"), ("recipe", Mapping, "a mapping")):
        if not isinstance(content[key], kind):
            raise InputError(f"{visible(path)}: {key} should be {name}, not {kind_of(content[key])}.")
    claims = content["claims"]
    if not isinstance(claims, list) or not all(isinstance(claim, Mapping) for claim in claims):
        raise InputError(f"{visible(path)}: claims should be a list of mappings.")


def _seed(digest: str, what: str, index: int) -> int:
    """A seed of 31 bits."""
    return int(key_of({"frozen": digest, "what": what, "index": index})[:8], 16) >> 1
