"""Apply another configuration while the system runs: all of it, or nothing.

`celery call tasks.reload_config`

The files are edited first. Their content is checked, compared with the configuration in force and with open positions
and orders, and recorded for all processes: a changed symbol uses it from its next tick, the others are not affected.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from configs.diff import Change, Kind, SymbolChange, compare
from configs.errors import ConfigError
from configs.plugins.strategies import code_of
from configs.snapshot import Content, fingerprint, fingerprint_of_all
from tasks import app
from tasks.engine.redelivery import CONTROLLING
from tasks.engine.worker_context import Runtime, runtime
from trading.events.event import Event, EventType
from trading.lifecycle import DesiredState, HeldBy

SEEN_COMMAND = "config_seen"
"""Remote-control command that returns a worker's queues and its own configuration of them."""

OTHER_FILES = (
    "reads another configuration than this command: give its machine the same files, and this command the TRADING__ "
    "environment that the worker started with"
)
OVERTAKEN = "another configuration change was applied first; review it and retry"

_REPLY_S = 1.0
Answer = dict[str, Any]


class WorkerFiles(Struct, frozen=True):
    """The queues of a worker, and the content of its own files.

    Attributes:
        fingerprints: By symbol, for each symbol that it serves.
        faults: Errors of its files; empty if they are valid.
    """

    node: str
    queues: Sequence[str]
    fingerprints: Mapping[str, str]
    faults: Sequence[str]


@app.task(name="tasks.reload_config", **CONTROLLING)
def reload_config(expected: str | None = None, reason: str = "requested by operator") -> Answer:
    """Apply the configuration files.

    Args:
        expected: Fingerprint of the caller's files, which may be on another machine; None applies the local files.
    """
    here = runtime()
    try:
        target = here.config.described(here.config.load())
    except ConfigError as error:
        return _answer("faulty", faults=list(error.faults))
    if expected not in (None, fingerprint_of_all(target)):
        return _answer("refused", refusals=[f"the worker on {socket.gethostname()} {OTHER_FILES}"])
    return apply_config(here, target, list(read_worker_files()), reason)


def read_worker_files() -> Iterator[WorkerFiles]:
    """Yield the queues and files of each worker that answers within a second."""
    for reply in app.control.broadcast(SEEN_COMMAND, reply=True, timeout=_REPLY_S) or ():
        for node, seen in reply.items():
            if "queues" in seen:
                yield WorkerFiles(node, **seen)


def apply_config(here: Runtime, target: Content, workers: Sequence[WorkerFiles], reason: str) -> Answer:
    """Apply a configuration as a whole, or return the refusals.

    Raises:
        Transient: Redis or the ledger did not answer; nothing was applied.
    """
    applied, ledger = here.config.applied, here.stores.ledger
    seen, old = applied.revision(), applied.in_force(here.config.content())
    change = compare(old, target, ledger.exposure)
    recoded = _recoded_symbols(here, target)
    outdated = [*_outdated_symbols(here, target), *recoded]
    if change.is_empty and not outdated and applied.read() == target:
        return _answer("unchanged", revision=seen) | _consumed(here, change, target, workers)
    refusals = [*change.refusals, *_outdated_workers(workers, target)]
    if refusals:
        return _answer("refused", change, refusals=refusals)
    try:
        _hold(here, change)
        change = compare(old, target, ledger.exposure)  # held symbols open nothing between this check and the change
        renewed = {*change.renewed, *change.of(Kind.ADDED), *outdated}
        revision = None if change.refusals else applied.apply(target, seen=seen, renewed=sorted(renewed))
    except BaseException:
        _release(here, change)
        raise
    if revision is None:
        _release(here, change)
        return _answer("refused", change, refusals=change.refusals or [OVERTAKEN])
    notes = list(_release_added(here, change.of(Kind.ADDED)))
    here.bus.publish(list(_events(change, revision, reason)))
    here.refresh()
    notes += [f"{symbol}: the code of its strategy has changed; its next tick runs the new code" for symbol in recoded]
    answer = _answer("applied", change, revision=revision, notes=notes)
    return answer | _consumed(here, change, target, workers)


def _outdated_symbols(here: Runtime, target: Content) -> list[str]:
    """Return the symbols whose services were built from another configuration than the target."""
    built = here.config.applied.built(list(target["symbols"]))
    return [name for name, one in built.items() if one.fingerprint != fingerprint(target, name)]


def _recoded_symbols(here: Runtime, target: Content) -> list[str]:
    """Return the symbols whose services run other code of the user's own strategies than the files hold now."""
    system = here.config.load()
    return [
        name
        for name, one in here.config.applied.built(list(target["symbols"])).items()
        if name in system.symbols
        and one.code not in (None, code_of(book.strategy for book in system.symbols[name].books.values()))
    ]


def _outdated_workers(workers: Sequence[WorkerFiles], target: Content) -> Iterator[str]:
    """Yield a line for each worker whose files differ from the target configuration."""
    for worker in workers:
        served = [name for name in worker.queues if name in target["symbols"]]
        other = [name for name in served if worker.fingerprints.get(name) != fingerprint(target, name)]
        if other and worker.faults:
            yield f"worker {worker.node} cannot use its files: {'; '.join(worker.faults)}"
        elif other:
            yield (
                f"worker {worker.node} reads another configuration of {', '.join(other)}: give its machine the same "
                "files and the same TRADING__ environment, then retry"
            )


def _hold(here: Runtime, change: Change) -> None:
    """Hold the symbols that must be flat for the change, so that they open nothing meanwhile."""
    for one in _flat(change):
        if one.kind is Kind.REMOVED:
            reason = "the symbol was removed from the configuration"
            here.stores.ledger.hold(one.symbol, DesiredState.STOPPED, held_by=HeldBy.REMOVAL, reason=reason)
            here.stores.store.set_desired(one.symbol, DesiredState.STOPPED)
        else:
            reason = "the configuration of the symbol changes"
            here.stores.ledger.hold(one.symbol, DesiredState.PAUSED, held_by=HeldBy.CONFIG_CHANGE, reason=reason)


def _release(here: Runtime, change: Change) -> None:
    for one in _flat(change):
        held_by = HeldBy.REMOVAL if one.kind is Kind.REMOVED else HeldBy.CONFIG_CHANGE
        here.stores.ledger.release(
            one.symbol, held_by=held_by, reason="the configuration of the symbol stays unchanged"
        )
        here.stores.store.set_desired(one.symbol, here.stores.ledger.desired(one.symbol))


def _flat(change: Change) -> list[SymbolChange]:
    return [one for one in change.symbols if one.needs_flat]


def _release_added(here: Runtime, symbols: Sequence[str]) -> Iterator[str]:
    """Release symbols that were added again; yield a line for each that an operator has paused or stopped."""
    ledger, store = here.stores.ledger, here.stores.store
    for symbol in symbols:
        ledger.release(symbol, held_by=HeldBy.REMOVAL, reason="the symbol is in the configuration again")
        desired = ledger.desired(symbol)
        store.set_desired(symbol, desired)
        if desired is not DesiredState.RUNNING:
            yield f"{symbol} is still {desired} from before its removal: celery -A tasks trading start {symbol}"


def _events(change: Change, revision: int, reason: str) -> Iterator[Event]:
    for one in change.symbols:
        summary = "; ".join(map(str, one.differences)) or one.kind.value
        details = {"revision": revision, "asked": reason, **_fields(one)}
        yield Event(type=EventType.CONFIG_CHANGED, symbol=one.symbol, reason=summary, details=details)
    if change.shared:
        details = {"revision": revision, "asked": reason, "differences": [one.as_dict() for one in change.shared]}
        summary = "; ".join(map(str, change.shared))
        yield Event(type=EventType.CONFIG_CHANGED, reason=summary, details=details)


def _answer(
    outcome: str,
    change: Change | None = None,
    *,
    revision: int | None = None,
    faults: Sequence[str] = (),
    refusals: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Answer:
    return {
        "outcome": outcome,
        "revision": revision,
        "faults": list(faults),
        "refusals": list(refusals),
        "changes": [{"symbol": one.symbol, **_fields(one)} for one in change.symbols] if change else [],
        "shared": [one.as_dict() for one in change.shared] if change else [],
        "notes": list(notes),
        "launcher": None,
        "unserved": [],
        "idle": [],
    }


def _fields(one: SymbolChange) -> Answer:
    return {"change": one.kind.value, "differences": [difference.as_dict() for difference in one.differences]}


def _consumed(here: Runtime, change: Change, target: Content, workers: Sequence[WorkerFiles]) -> Answer:
    """Return symbols without a consumer and workers that still consume removed ones, with the commands to run."""
    served = {queue for worker in workers for queue in worker.queues}
    shared_node = next(
        (worker.node for worker in workers if served & set(target["symbols"]) & set(worker.queues)), None
    )
    idle = [(name, one.node) for name in change.of(Kind.REMOVED) for one in workers if name in one.queues]
    launcher = here.config.applied.launcher()
    return {
        "launcher": launcher and launcher.host,
        "unserved": [
            {"symbol": name, "commands": list(_serving(name, shared_node))}
            for name in target["symbols"]
            if name not in served
        ],
        "idle": [
            {"symbol": name, "node": node, "command": f"celery -A tasks control cancel_consumer {name} -d {node}"}
            for name, node in idle
        ],
    }


def _serving(symbol: str, node: str | None) -> Iterator[str]:
    """Yield the commands, each of which starts a consumer of the symbol's queue."""
    yield f"celery -A tasks worker -Q {symbol}"
    if node:
        yield f"celery -A tasks control add_consumer {symbol} -d {node}"
