"""States of services and symbols, and the allowed transitions."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, TypeVar

from trading.errors import Broken


class ServiceState(StrEnum):
    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    ERROR = "error"
    RECOVERING = "recovering"
    STOPPING = "stopping"
    STOPPED = "stopped"


class SymbolState(StrEnum):
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ERROR = "error"
    RECOVERING = "recovering"
    QUARANTINED = "quarantined"


class DesiredState(StrEnum):
    """The state that the operator wants for a symbol, independent of its actual state."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class HeldBy(StrEnum):
    """The temporary reason that holds a symbol, in place of an operator's pause or stop."""

    CONFIG_CHANGE = "config_change"
    """The symbol's services are not yet rebuilt with the applied configuration."""
    REMOVAL = "removal"
    """The symbol is removed from the configuration."""


UnprotectedPolicy = Literal["alert", "flatten"]
"""Treatment of a position whose stop is still not at the venue after it was placed once more."""

PositionPolicy = Literal["hold", "flatten", "alert"]
"""Treatment of an open position when its symbol is quarantined. hold: keep it; its stop and target at the venue protect
it, and their fills are still booked. flatten: close it at the market. alert: do nothing."""


S = TypeVar("S", ServiceState, SymbolState)

_SERVICE: Mapping[ServiceState, frozenset[ServiceState]] = {
    ServiceState.CREATED: frozenset({ServiceState.STARTING}),
    ServiceState.STARTING: frozenset({ServiceState.RUNNING, ServiceState.ERROR}),
    ServiceState.RUNNING: frozenset({ServiceState.PAUSED, ServiceState.ERROR, ServiceState.STOPPING}),
    ServiceState.PAUSED: frozenset({ServiceState.RUNNING, ServiceState.ERROR, ServiceState.STOPPING}),
    ServiceState.ERROR: frozenset({ServiceState.RECOVERING, ServiceState.STOPPING}),
    ServiceState.RECOVERING: frozenset({ServiceState.RUNNING, ServiceState.ERROR, ServiceState.STOPPING}),
    ServiceState.STOPPING: frozenset({ServiceState.STOPPED}),
    ServiceState.STOPPED: frozenset({ServiceState.STARTING}),
}

_SYMBOL: Mapping[SymbolState, frozenset[SymbolState]] = {
    SymbolState.INITIALIZING: frozenset(
        {SymbolState.RUNNING, SymbolState.PAUSED, SymbolState.STOPPED, SymbolState.ERROR}
    ),
    SymbolState.RUNNING: frozenset({SymbolState.PAUSED, SymbolState.STOPPED, SymbolState.ERROR}),
    SymbolState.PAUSED: frozenset({SymbolState.RUNNING, SymbolState.STOPPED, SymbolState.ERROR}),
    SymbolState.STOPPED: frozenset({SymbolState.INITIALIZING, SymbolState.RUNNING, SymbolState.PAUSED}),
    SymbolState.ERROR: frozenset({SymbolState.RECOVERING, SymbolState.QUARANTINED, SymbolState.STOPPED}),
    SymbolState.RECOVERING: frozenset(
        {SymbolState.RUNNING, SymbolState.PAUSED, SymbolState.ERROR, SymbolState.QUARANTINED, SymbolState.STOPPED}
    ),
    SymbolState.QUARANTINED: frozenset({SymbolState.RECOVERING, SymbolState.STOPPED}),
}


def next_service_state(current: ServiceState, target: ServiceState) -> ServiceState:
    """Return `target` if a service may change to it from `current`.

    Raises:
        Broken: The transition does not exist.
    """
    return _checked(_SERVICE, current, target)


def next_symbol_state(current: SymbolState, target: SymbolState) -> SymbolState:
    """Return `target` if a symbol may change to it from `current`.

    Raises:
        Broken: The transition does not exist.
    """
    return _checked(_SYMBOL, current, target)


def symbol_path(current: SymbolState, target: SymbolState) -> tuple[SymbolState, ...]:
    """Return the shortest sequence of states from `current` to `target`; empty if it is already there.

    A symbol that recovers by itself passes from error through recovering to running, as a restarted symbol does.

    Raises:
        Broken: No sequence of transitions leads there.
    """
    paths: dict[SymbolState, tuple[SymbolState, ...]] = {current: ()}
    waiting = [current]
    while waiting and target not in paths:
        at = waiting.pop(0)
        for following in sorted(_SYMBOL[at] - paths.keys()):
            paths[following] = (*paths[at], following)
            waiting.append(following)
    return paths[target] if target in paths else (_checked(_SYMBOL, current, target),)


def _checked(table: Mapping[S, frozenset[S]], current: S, target: S) -> S:
    if target not in table[current]:
        allowed = ", ".join(sorted(table[current])) or "nothing"
        raise Broken(f"transition from state {current} to {target} is not allowed; allowed from {current}: {allowed}")
    return target
