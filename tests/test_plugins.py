"""One loader for plug-ins of every kind: names, packages that are broken, and options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.plugins import Plugins

Offer = Callable[[str, str, str], None]


class Shape(Protocol):
    name: str

    def open(self) -> object: ...


@dataclass(frozen=True)
class Own:
    name = "own"
    size: int = 1

    def open(self) -> object:
        return self


TUNERS: Plugins[type[Shape]] = Plugins("puretune.tests", "tuner", {"own": f"{__name__}:Own"}, Shape)


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Installs a package that offers one tuner, which its module ``PACKAGE`` has as ``thing``."""

    def install(package: str, name: str, source: str) -> None:
        info = tmp_path / f"{package}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[puretune.tests]\n{name} = {package}:thing\n")
        (tmp_path / f"{package}.py").write_text(source)
        monkeypatch.delitem(sys.modules, package, raising=False)

    monkeypatch.syspath_prepend(str(tmp_path))
    return install


def test_a_package_offers_a_plugin_by_name_and_nothing_is_loaded_to_list_it(offer: Offer) -> None:
    offer("other", "fast", "raise RuntimeError")
    assert TUNERS.names() == ["fast", "own"]
    assert TUNERS.offered() == {"fast": "other 1.5"}
    assert "fast" in TUNERS
    assert TUNERS.load("own") is Own


@pytest.mark.parametrize("source", ["raise RuntimeError('no card')", "raise SystemExit('no card')", "1 / 0"])
def test_a_broken_plugin_names_package_entry_and_reason(offer: Offer, source: str) -> None:
    offer("other", "fast", source)
    with pytest.raises(EnvironmentFault, match=r"'fast' of other 1\.5 \(other:thing\) cannot be loaded \("):
        TUNERS.load("fast")


def test_a_plugin_that_lacks_what_its_kind_needs_is_named_with_what_is_missing(offer: Offer) -> None:
    offer("other", "fast", "class thing: name = 'fast'")
    with pytest.raises(EnvironmentFault, match=r"tuner 'fast' of other 1\.5 .* does not declare open\."):
        TUNERS.load("fast")


def test_two_packages_with_the_same_name_are_both_named(offer: Offer) -> None:
    offer("one", "fast", "")
    offer("two", "fast", "")
    with pytest.raises(EnvironmentFault, match=r"by (one|two) 1\.5 .* and by (one|two) 1\.5 "):
        TUNERS.load("fast")


def test_a_package_does_not_replace_puretunes_own(offer: Offer) -> None:
    offer("other", "own", "")
    with pytest.raises(EnvironmentFault, match=r"tuner 'own' is offered by puretune and by other 1\.5"):
        TUNERS.load("own")


def test_an_unknown_name_has_a_hint_and_the_known_names() -> None:
    with pytest.raises(InputError, match=r"a\.yaml: unknown tuner 'owm'\. Did you mean 'own'\? Known: own\."):
        TUNERS.load("owm", "a.yaml")


def test_options_are_checked_values() -> None:
    assert TUNERS.options("own", {"size": 2}) == Own(2)
    with pytest.raises(InputError, match=r"tuner 'own': unknown option 'sise'\. Did you mean 'size'"):
        TUNERS.options("own", {"sise": 2})
    with pytest.raises(InputError, match=r"tuner 'own': size: "):
        TUNERS.options("own", {"size": "2"})


def test_a_plugin_without_checked_options_is_named(offer: Offer) -> None:
    offer("other", "fast", "class thing:\n    name = 'fast'\n    def open(self): ...")
    with pytest.raises(EnvironmentFault, match="tuner 'fast' is not a frozen dataclass"):
        TUNERS.options("fast")


def test_what_a_plugin_raises_when_called_is_named(offer: Offer) -> None:
    source = "from puretune.errors import InputError\ndef thing(error): raise error"
    offer("other", "gift", source)
    models: Plugins[object] = Plugins("puretune.tests", "model")
    with pytest.raises(EnvironmentFault, match=r"model 'gift' failed \(KeyError: 'x'\)"):
        models.call("gift", KeyError("x"))
    with pytest.raises(InputError, match=r"^mine$"):
        models.call("gift", InputError("mine"))
