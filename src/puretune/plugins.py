"""Plug-ins by name: puretune's own, then those that installed packages offer. One loader for all kinds.

A package offers one by an entry point, here a tuner called ``fast``:

    [project.entry-points."puretune.tuners"]
    fast = "my_package.tuner:FastTuner"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from puretune.errors import EnvironmentFault, PuretuneError, unknown
from puretune.lazily import load
from puretune.names import listed
from puretune.options import validated
from puretune.visible import one_line

_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Plugins(Generic[_Thing]):
    """The plug-ins of one kind."""

    group: str
    """The entry-point group, ``puretune.tuners``."""
    kind: str
    """What one is called in messages, ``tuner``."""
    builtin: Mapping[str, _Thing | str] = field(default_factory=dict)
    """Name -> puretune's own, or ``module:Name`` for one that is imported when it is asked for."""
    shape: type | None = None
    """The class or protocol whose public attributes each plug-in must declare."""

    def names(self) -> list[str]:
        """All names, sorted; nothing is loaded."""
        return sorted({*self.builtin, *(point.name for point in entry_points(group=self.group))})

    def offered(self) -> dict[str, str]:
        """Name -> package of those that installed packages offer; nothing is loaded."""
        return {point.name: _package(point) for point in entry_points(group=self.group)}

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def load(self, name: str, where: str = "") -> _Thing:
        """The plug-in of that name.

        InputError, opening with ``where``, for an unknown name, with the nearest one and all known names;
        EnvironmentFault if two packages offer it, if it cannot be imported or if it is not of the shape.
        """
        points = [point for point in entry_points(group=self.group) if point.name == name]
        if name not in self.builtin and not points:
            raise unknown(self.kind, name, self.names(), where)
        owners = ["puretune"] * (name in self.builtin) + [_owner(point) for point in points]
        if len(owners) > 1:
            raise EnvironmentFault(
                f"{self.kind} {name!r} is offered by {' and by '.join(owners)}. Uninstall one of them."
            )
        return self._own(name) if name in self.builtin else self._offered(points[0])

    def options(self, name: str, given: Mapping[str, Any] | None = None) -> Any:
        """The plug-in's frozen dataclass with the options ``given``; as :meth:`load`, and InputError for an
        unknown option or a value that makes no sense."""
        kind: Any = self.load(name)
        if not (isinstance(kind, type) and is_dataclass(kind)):
            raise EnvironmentFault(f"{self.kind} {name!r} is not a frozen dataclass of its options.")
        needed = [one for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
        if given or needed:
            return validated(kind, given or {}, f"{self.kind} {name!r}")
        with _blamed(f"{self.kind} {name!r}", "failed", "Report it to the package that offers it."):
            return kind()

    def call(self, name: str, *arguments: Any) -> Any:
        """What the plug-in, a callable, returns; as :meth:`load`, and EnvironmentFault if another package's
        raises anything but one of puretune's own errors."""
        made = cast("Callable[..., Any]", self.load(name))
        if name in self.builtin:
            return made(*arguments)
        with _blamed(f"{self.kind} {name!r}", "failed", "Report it to the package that offers it."):
            return made(*arguments)

    def _own(self, name: str) -> _Thing:
        own = self.builtin[name]
        return cast("_Thing", load(own) if isinstance(own, str) else own)

    def _offered(self, point: EntryPoint) -> _Thing:
        title = f"{self.kind} {point.name!r} of {_owner(point)}"
        with _blamed(title, "cannot be loaded", "Reinstall or remove that package."):
            thing = cast("_Thing", point.load())
        missing = sorted(name for name in _declared(self.shape) if not _declares(thing, name))
        if missing:
            raise EnvironmentFault(
                f"{title} does not declare {listed(missing)}. Install a version of the package that fits "
                "this puretune."
            )
        return thing


@contextmanager
def _blamed(title: str, what: str, advice: str) -> Iterator[None]:
    try:
        yield
    except PuretuneError:
        raise
    except (Exception, SystemExit) as error:  # another package's code: anything may happen in it
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise EnvironmentFault(f"{title} {what} ({reason}). {advice}") from error


def _owner(point: EntryPoint) -> str:
    return f"{_package(point)} ({point.value})"


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an installed package"


def _declared(shape: type | None) -> set[str]:
    """The public attributes of a class or protocol, annotated ones included."""
    if shape is None:
        return set()
    annotated = {name for base in shape.__mro__ for name in inspect.get_annotations(base)}
    return {name for name in {*dir(shape), *annotated} if not name.startswith("_")}


def _declares(thing: object, name: str) -> bool:
    return hasattr(thing, name) or name in getattr(thing, "__dataclass_fields__", {})
