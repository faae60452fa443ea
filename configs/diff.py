"""Compare two configurations, and find changes that are not allowed yet. Pure: both configurations and the exposure of
the symbols are arguments.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from configs.snapshot import PACE, Content, fingerprint

_ABSENT = object()
_COSTS = ("spread", "slippage", "commission_bps", "commission_per_unit", "commission_per_order", "min_commission")
_BOUND: Mapping[str, tuple[tuple[str, ...], str]] = {
    "timeframe": ((), "it depends on candles of the present timeframe"),
    "source": (PACE, "it depends on candles of the present source"),
    "venue": (_COSTS, "it is at the present venue"),
    "quote_currency": ((), "its profit is counted in the present currency"),
}
"""Parts fixed while something is open: (keys that may change anyway, reason for the others)."""
_OF_A_START = ("name", "starting_balance", "currency")


class Exposure(Struct, frozen=True):
    """Open positions and orders of a symbol.

    Attributes:
        units: Its position, negative when short.
        unsettled: Number of its orders that are not final.
        is_open: A position is open, or an order may be alive.
        positions: Position by strategy, negative when short.
        pending: Strategies with such an order; None if unknown, so that each may have one.
    """

    units: float = 0.0
    unsettled: int = 0
    is_open: bool = False
    positions: Mapping[str, float] = field(default_factory=dict)
    pending: frozenset[str] | None = None

    def is_of(self, strategy: str) -> bool:
        """Return whether one strategy of the symbol has, or may have, a position or an order."""
        return self.is_open and (self.pending is None or strategy in self.positions or strategy in self.pending)

    def __str__(self) -> str:
        parts = [f"a position of {self.units:g} units is open"] if self.units else []
        if len(self.positions) > 1:
            held = ", ".join(f"{units:g} units by {name}" for name, units in self.positions.items())
            parts = [f"positions are open: {held}"]
        if self.unsettled:
            parts.append(f"{self.unsettled} order{'s are' if self.unsettled > 1 else ' is'} not settled")
        return " and ".join(parts) or ("an order may be alive" if self.is_open else "nothing is open")


class Difference(Struct, frozen=True):
    """One value that differs.

    Attributes:
        path: Keys from the top of the symbol's part, or from the top of the files for shared parts.
    """

    path: tuple[str, ...]
    before: Any
    now: Any

    def __str__(self) -> str:
        absent = "none" if self.path[-1] == "name" else "the default"
        return f"{'.'.join(self.path)}: {_format(self.before, absent)} -> {_format(self.now, absent)}"

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-safe dictionary; None for an absent value, which has its default."""
        before, now = (None if value is _ABSENT else value for value in (self.before, self.now))
        return {"path": ".".join(self.path), "before": before, "now": now}


class Kind(StrEnum):
    """The kind of change of a symbol."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class SymbolChange(Struct, frozen=True):
    """The change of one symbol.

    Attributes:
        differences: Differences in its own part.
        needs_flat: Only allowed while nothing of the symbol, or of its ended strategies, is open.
        ended: Strategies that are removed or get another class, by the path of that class.
    """

    symbol: str
    kind: Kind
    differences: tuple[Difference, ...] = ()
    needs_flat: bool = False
    ended: Mapping[tuple[str, ...], str] = field(default_factory=dict)


class Change(Struct, frozen=True):
    """All changes from one configuration to another.

    Attributes:
        symbols: Symbols that are added or removed, or whose own part differs.
        shared: Differences in the parts that all symbols share.
        renewed: Remaining symbols whose services must be rebuilt.
        refusals: Reasons why the change is not allowed now; empty if it is.
    """

    symbols: tuple[SymbolChange, ...]
    shared: tuple[Difference, ...]
    renewed: tuple[str, ...]
    refusals: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not self.symbols and not self.shared

    def of(self, kind: Kind) -> list[str]:
        """Return the symbols with that kind of change."""
        return [change.symbol for change in self.symbols if change.kind is kind]


def compare(old: Content, new: Content, exposure: Callable[[str], Exposure], *, is_running: bool = True) -> Change:
    """Return the changes from `old` to `new`, and the reasons that forbid them.

    Args:
        exposure: Return the open positions and orders of a symbol; called only where needed.
        is_running: False before anything runs: then the account may change, because nothing of it is open here.
    """
    before, now = old["symbols"], new["symbols"]
    shared = tuple(one for part in new if part != "symbols" for one in _differences(old[part], new[part], (part,)))
    changes = (
        *(_changed(name, before[name], config) for name, config in now.items() if before.get(name, config) != config),
        *(SymbolChange(name, Kind.ADDED) for name in now if name not in before),
        *(SymbolChange(name, Kind.REMOVED, needs_flat=True) for name in before if name not in now),
    )
    renewed = tuple(name for name in now if name in before and fingerprint(old, name) != fingerprint(new, name))
    refusals: list[str] = []
    if is_running or old["account"]["name"] == new["account"]["name"]:
        refusals += _refused_of_account(shared) if is_running else ()
        refusals += _refused_of_services(shared, list(before), exposure)
        refusals += (text for change in changes if change.needs_flat for text in _refused(change, exposure))
    return Change(changes, shared, renewed, tuple(refusals))


def change_refused(symbol: str, before: Content, now: Content, exposure: Callable[[str], Exposure]) -> list[str]:
    """Return the reasons why one symbol's own part must not change; empty if it may."""
    change = _changed(symbol, before, now)
    return list(_refused(change, exposure)) if change.needs_flat else []


def _changed(symbol: str, before: Content, now: Content) -> SymbolChange:
    differences = tuple(_differences(before, now, ()))
    ended = _ended(before, now)
    needs_flat = bool(ended) or any(_why_bound(one.path) for one in differences)
    return SymbolChange(symbol, Kind.CHANGED, differences, needs_flat, ended)


def _ended(before: Content, now: Content) -> dict[tuple[str, ...], str]:
    """Return a symbol's strategies that are removed or get another class, by the path of their class."""
    kept = {(name, of) for name, of, _ in _books(now)}
    return {path: name for name, of, path in _books(before) if (name, of) not in kept}


def _books(config: Content) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (name of the book, class, path of the class) for each strategy of a symbol."""
    one = config.get("strategy")
    if one is not None:
        yield one["name"], one["name"], ("strategy", "name")
    for name, book in config.get("strategies", {}).items():
        yield name, book["name"], ("strategies", name, "name")


def _why_bound(path: Sequence[str]) -> str:
    """Return why a value is fixed while something is open; empty if it is not."""
    free, why = _BOUND.get(path[0], ((), ""))
    return "" if len(path) > 1 and path[1] in free else why


def _refused(change: SymbolChange, exposure: Callable[[str], Exposure]) -> Iterator[str]:
    found = exposure(change.symbol)
    if not found.is_open:
        return
    until = f"celery -A tasks trading pause {change.symbol} stops further entries; retry when it is flat"
    if change.kind is Kind.REMOVED:
        yield f"{change.symbol} cannot be removed: {found}, which no service would close; {until}"
    for one in change.differences:
        why = _why_bound(one.path)
        if one.path in change.ended and found.is_of(change.ended[one.path]):
            why = "it belongs to the strategy that opened it, and no other one would close it"
        if why:
            yield f"{change.symbol}: {one} is not allowed yet: {found}, and {why}; {until}"


def _refused_of_account(shared: Sequence[Difference]) -> Iterator[str]:
    for one in shared:
        if one.path[0] == "account" and one.path[1] in _OF_A_START:
            yield f"{one} requires a stop of the whole system, because the ledger's figures are based on it"


def _refused_of_services(
    shared: Sequence[Difference], symbols: Sequence[str], exposure: Callable[[str], Exposure]
) -> Iterator[str]:
    """Yield a line for each switch that would leave open positions unmanaged."""
    idle = [one for one in shared if one.path[0] == "services" and _idles(one)]
    exposed = {name: found for name in symbols if idle and (found := exposure(name)).is_open}
    told = "; ".join(f"{name}: {found}" for name, found in exposed.items())
    yield from (f"{one} is not allowed yet: no service would close the open positions ({told})" for one in idle if told)


def _idles(one: Difference) -> bool:
    return (one.path[-1], one.now) in (("enabled", False), ("execution_mode", "dry"))


def _differences(before: Any, now: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*now, *(key for key in before if key not in now)]:
            yield from _differences(before.get(key, _ABSENT), now.get(key, _ABSENT), (*path, str(key)))
    elif before is _ABSENT and isinstance(now, Mapping) and now:
        yield from _differences({}, now, path)
    elif now is _ABSENT and isinstance(before, Mapping) and before:
        yield from _differences(before, {}, path)
    elif before != now:
        yield Difference(path, before, now)


def _format(value: Any, absent: str) -> str:
    if value is _ABSENT:
        return absent
    if isinstance(value, float):
        return f"{value:.12g}"
    return value if isinstance(value, str) else json.dumps(value)
