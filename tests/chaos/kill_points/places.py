"""The table of places: which methods are hooked, in which stage each is reached, and what can be killed there."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from adapters.ledger.ledger import SqlLedger
from adapters.redis.event_bus import RedisEventBus
from adapters.redis.leader_lease import Leadership
from adapters.sources.playback import PlayedSource
from adapters.symbol_store.redis import RedisSymbolStore
from adapters.venues.fault_injection.venue import FaultInjectingVenue
from adapters.venues.fault_injection.visibility import SqlSends
from adapters.venues.paper import PaperVenue
from tasks.engine.stages import STAGES
from tasks.engine.worker_context import Runtime

GATE = "fetch.source.newest.before"
"""Place at which a symbol waits while the gate is closed: the earlier candles are completely processed."""


@dataclass(frozen=True, slots=True)
class Hooked:
    """One object of the product.

    Attributes:
        name: Of the object in the names of places.
        reads: Public methods that write nothing and do not talk to the venue: they get no place.
    """

    name: str
    owner: type
    reads: frozenset[str] = frozenset()

    def methods(self) -> Iterator[str]:
        """Yield every other public method: one that is added tomorrow is hooked tomorrow."""
        for method, _ in inspect.getmembers(self.owner, inspect.isfunction):
            if not method.startswith("_") and method not in self.reads:
                yield method


HOOKED = (
    Hooked(
        "ledger",
        SqlLedger,
        frozenset(
            {
                *(
                    "balance",
                    "desired",
                    "fence",
                    "fences",
                    "fills",
                    "fills_from",
                    "has_exposure",
                    "incidents",
                    "incidents_of",
                ),
                *("overfilled", "owners", "quarantine", "unpublished", "exposures", "incident"),
                *("close", "decisions", "order_states", "orders", "positions", "unsettled"),
                *("order_strategies", "stop_move", "stop_moves", "decisions_since", "opener"),
            }
        ),
    ),
    Hooked("store", RedisSymbolStore, frozenset({"feed", "latest_prices", "load", "window"})),
    Hooked("bus", RedisEventBus, frozenset({"recent", "follow"})),
    Hooked("runtime", Runtime, frozenset({"known", "refresh", "pipeline"})),
    Hooked("venue", FaultInjectingVenue),
    Hooked("sends", SqlSends, frozenset({"age_s"})),
    # queries go through the fault-injecting venue, and has its places there
    Hooked(
        "paper", PaperVenue, frozenset({"balance", "cash", "clock_ms", "fills", "find", "open_orders", "positions"})
    ),
    Hooked("source", PlayedSource),
    Hooked("leadership", Leadership),
)


def hooked_methods() -> dict[type, dict[str, str]]:
    """Return for each class its hooked methods, and what each is called in the names of places."""
    found = {one.owner: {method: f"{one.name}.{method}" for method in one.methods()} for one in HOOKED}
    found[PaperVenue]["__init__"], found[SqlSends]["__init__"] = "paper.open", "sends.open"
    return found


def stage_of(task_name: str) -> str:
    """Return the stage of a task: one of the four, reconcile, or control for an operator's command."""
    if task_name in STAGES or task_name == "tasks.reconcile":
        return task_name.removeprefix("tasks.")
    return "control"


class Target(StrEnum):
    """The target of a kill."""

    CHILD = "pool child"
    WORKER = "whole worker"
    REDIS = "redis"
    BEAT = "beat"
    CONTROL = "control worker"
    POSTGRESQL = "postgresql"


BEFORE_AFTER = ("before", "after")
WITH_COMMIT = ("before", "in", "after")
_TASK = ("task.run", "message.acknowledge")
_STEP = (*_TASK, "message.publish", "ledger.message_key")
EVENTS = ("bus.publish", "runtime.flush")
AFRESH = (
    *("runtime.count_delivery", "runtime.rebuild", "runtime.report", "paper.open", "sends.open"),
    "source.history",
)
FAULTS = ("runtime.report_unbuilt", "runtime.report_error")
"""Reached where services cannot be built, and where one of them raises an error."""
SENDING = (
    *("ledger.mark", "ledger.record_fills", "ledger.open_incidents", "ledger.mark_published"),
    *("venue.submit", "paper.submit", "sends.note"),
)
STOPS = (
    "ledger.permissions",
    "ledger.refuse_stop",
    "ledger.end_incidents",
    "venue.move_stop",
    "paper.move_stop",
)
"""Calls that move a stop; `ledger.move_stop` comes before, and only with a candle."""
_READING = ("venue.sync", "paper.sync", "venue.find", "venue.fills", "venue.positions", "venue.open_orders")

LISTED: Mapping[str, tuple[str, ...]] = {
    "fetch": (
        *_STEP,
        *EVENTS,
        *AFRESH,
        *FAULTS,
        "source.newest",
        "source.close",
        "store.seed",
        "store.mark_exposed",
        "store.set_desired",
        "store.record_fetch",
    ),
    "indicators": (*_STEP, *EVENTS, *AFRESH, *FAULTS, "source.newest"),
    "strategy": (*_STEP, *EVENTS, *AFRESH, *FAULTS, "source.newest", "store.commit"),
    "execute": (
        *(*_STEP, *EVENTS, *AFRESH, *FAULTS, *SENDING, *STOPS, *_READING),
        *("ledger.decide", "ledger.flatten", "ledger.move_stop", "store.mark_exposed", "store.commit", "source.newest"),
    ),
    "reconcile": (
        *(*_TASK, *EVENTS, *AFRESH[1:], FAULTS[0], *SENDING, *STOPS, *_READING),
        *("source.newest", "ledger.flatten", "store.mark_exposed"),
    ),
    "control": (
        *_STEP,
        "bus.publish",
        "ledger.set_desired",
        "ledger.set_quarantine",
        "ledger.clear_quarantine",
        "ledger.flatten",
        "store.set_desired",
        "store.request_restart",
    ),
    "beat": ("leadership.epoch", "message.publish"),
    "start": ("message.publish",),
}
"""Known places of each stage. A run reports which of these it did not reach, and which others it did."""

NOT_PROVOKED = frozenset(
    {
        *("control.ledger.set_quarantine", "control.ledger.clear_quarantine", "control.ledger.flatten"),
        *("fetch.source.close", *(f"{stage}.source.history" for stage in ("indicators", "strategy", "execute"))),
        "reconcile.source.history",
        *("execute.ledger.permissions", "reconcile.ledger.permissions"),
        *(f"{stage}.ledger.message_key" for stage in ("fetch", "indicators", "strategy", "execute", "control")),
        *("execute.ledger.refuse_stop", "reconcile.ledger.refuse_stop"),
        *("execute.ledger.end_incidents", "reconcile.ledger.end_incidents", "reconcile.ledger.flatten"),
        *(
            f"{stage}.{name}"
            for stage in ("fetch", "indicators", "strategy", "execute", "reconcile")
            for name in FAULTS
        ),
    }
)
"""Known to be reached, and so seldom that no plan waits for them: tests in one process cut these writes."""

_COMMITTING = frozenset(
    {"paper.open", "paper.submit", "paper.cancel", "paper.move_stop", "paper.sync", "sends.open", "sends.note"}
)


def places_of(stage: str) -> list[str]:
    """Return the names of a stage's places."""
    return [f"{stage}.{name}.{part}" for name in LISTED[stage] for part in _parts(name)]


def all_places() -> list[str]:
    return [place for stage in LISTED for place in places_of(stage)]


def targets_of(place: str, *, is_postgresql: bool) -> tuple[Target, ...]:
    """Return what can be killed while the code stands at a place: beat, and a worker that starts, use Redis alone."""
    if place.startswith("beat."):
        return (Target.BEAT, Target.REDIS)
    if place.startswith("start."):
        return (Target.WORKER, Target.REDIS)
    without = () if is_postgresql else (Target.POSTGRESQL,)
    return tuple(target for target in Target if target not in without)


def _parts(name: str) -> tuple[str, ...]:
    has_commit = name.startswith("ledger.") or name in _COMMITTING
    return WITH_COMMIT if has_commit else BEFORE_AFTER
