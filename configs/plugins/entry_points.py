"""Built-in plug-ins and those of other packages: listed from entry points, loaded at first use."""

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint
from typing import Any

from msgspec import Struct

VENUES = "trading_orchestrator.venues"
SOURCES = "trading_orchestrator.sources"
STRATEGIES = "trading_orchestrator.strategies"
INDICATORS = "trading_orchestrator.indicators"
TITLES: Mapping[str, str] = {
    VENUES: "venue",
    SOURCES: "source",
    STRATEGIES: "strategy",
    INDICATORS: "indicator",
}
"""Noun for a member of each group of entry points."""

BUILT_IN: Sequence[EntryPoint] = (
    EntryPoint("paper", "adapters.registry:PAPER", VENUES),
    EntryPoint("file", "adapters.registry:FILE", SOURCES),
    EntryPoint("simulated", "adapters.registry:SIMULATED", SOURCES),
)
"""Plug-ins of this package, without its metadata, which may be older than the code in an updated checkout."""


class PluginError(ValueError):
    """A plug-in cannot be used; the text names its package."""


class Plugin(Struct, frozen=True):
    """A plug-in of another package.

    Attributes:
        group: One of `TITLES`.
        package: Name and version of its distribution.
        fault: Reason why it cannot be used; empty if it can.
    """

    group: str
    name: str
    package: str
    fault: str = ""

    def __str__(self) -> str:
        return f"{TITLES[self.group]} {self.name} ({self.package})"


def names(group: str) -> list[str]:
    """Return the names that are registered in a group, the built-in ones first."""
    return list(_entry_points(group))


def load(group: str, name: str) -> Any:
    """Import a plug-in at the first call, and return it.

    Raises:
        KeyError: Nothing of this name is registered in the group.
        PluginError: It cannot be imported, or several packages register the name.
    """
    candidates = _entry_points(group)[name]
    if len(candidates) > 1:
        packages = ", ".join(_package(one) for one in candidates)
        raise PluginError(
            f"{TITLES[group]} {name!r} is registered by {packages}; names are unique: remove all of these packages but "
            "one, or rename the entry point"
        )
    return _loaded(candidates[0])


def fault(group: str, name: str, reason: str) -> PluginError:
    """Return the error of an imported plug-in that does not have the type of its group."""
    found = _entry_points(group)[name][0]
    return PluginError(f"{_title(found)} {reason}; correct that package, or remove it")


def plugins() -> Iterator[Plugin]:
    """Load all plug-ins of other packages, and yield each, in the order of groups and names."""
    for group in TITLES:
        for name, candidates in _entry_points(group).items():
            for one in candidates:
                if one not in BUILT_IN:
                    yield Plugin(group, name, _package(one), _fault(group, name))


def _fault(group: str, name: str) -> str:
    try:
        load(group, name)
    except PluginError as error:
        return str(error)
    return ""


@lru_cache
def _entry_points(group: str) -> Mapping[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    others = sorted(importlib.metadata.entry_points(group=group), key=lambda one: one.name)
    for one in [*(known for known in BUILT_IN if known.group == group), *others]:
        found.setdefault(one.name, []).append(one)
    return found


@lru_cache
def _loaded(found: EntryPoint) -> Any:
    try:
        return found.load()
    except (Exception, SystemExit) as error:  # the code of another package may raise any error
        cause = f"{type(error).__name__}: {error}"
        raise PluginError(f"{_title(found)} cannot be imported: {cause}; correct that package, or remove it") from error


def _title(found: EntryPoint) -> str:
    return f"{TITLES[found.group]} {found.name!r}, {found.value!r} of the package {_package(found)},"


def _package(found: EntryPoint) -> str:
    return f"{found.dist.name} {found.dist.version}" if found.dist else "trading-orchestrator"
