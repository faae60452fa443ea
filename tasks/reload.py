"""Apply another configuration while the system runs: all of it, or nothing.

`celery call tasks.reload_config`

Who asks has edited the files. What they say is checked, compared with what is in force and with what is open, and
recorded for all processes: a changed symbol uses it from its next tick, the others are not affected.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configs.diff import Change, Kind, SymbolChange, compare
from configs.errors import ConfigError
from configs.snapshot import Content, fingerprint, fingerprint_of_all
from tasks import app
from tasks.engine.redelivery import CONTROLLING
from tasks.engine.worker_context import Runtime, runtime
from trading.events.event import Event, EventType
from trading.lifecycle import DesiredState, HeldBy

SEEN_COMMAND = "config_seen"
"""Remote-control command by which each worker tells what it consumes, and what its own files say of that."""

ELSEWHERE = (
    "reads another configuration than you: give its machine the same files, and yourself the TRADING__ environment "
    "that it began with"
)
OVERTAKEN = "another change was faster: look at what it did, and ask again"

_REPLY_S = 1.0
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkerFiles:
    """The queues a worker consumes, and the contents of its own files.

    Attributes:
        fingerprints: Of each symbol that it consumes.
        faults: Why its files cannot be used.
    """

    node: str
    queues: Sequence[str]
    fingerprints: Mapping[str, str]
    faults: Sequence[str]


@app.task(name="tasks.reload_config", **CONTROLLING)
def reload_config(expected: str | None = None, reason: str = "requested by operator") -> Answer:
    """Put in force what the files say.

    Args:
        expected: Fingerprint of the files that are meant, where they may be on another machine; None takes those here.
    """
    here = runtime()
    try:
        wanted = here.config.described(here.config.load())
    except ConfigError as error:
        return _answer("faulty", faults=list(error.faults))
    if expected not in (None, fingerprint_of_all(wanted)):
        return _answer("refused", refusals=[f"the worker on {socket.gethostname()} {ELSEWHERE}"])
    return put_in_force(here, wanted, list(ask_workers()), reason)


def ask_workers() -> Iterator[WorkerFiles]:
    """Yield what each worker that answers within a second consumes and reads."""
    for reply in app.control.broadcast(SEEN_COMMAND, reply=True, timeout=_REPLY_S) or ():
        for node, seen in reply.items():
            if "queues" in seen:
                yield WorkerFiles(node, **seen)


def put_in_force(here: Runtime, wanted: Content, workers: Sequence[WorkerFiles], reason: str) -> Answer:
    """Put a configuration in force, or say why not: all of it or nothing.

    Raises:
        Transient: Redis or the ledger did not answer; nothing of it is in force.
    """
    applied, ledger = here.config.applied, here.stores.ledger
    seen, old = applied.revision(), applied.in_force(here.config.content())
    change = compare(old, wanted, ledger.exposure)
    outdated = _outdated_symbols(here, wanted)
    if change.is_empty and not outdated and applied.read() == wanted:
        return _answer("unchanged", revision=seen) | _consumed(here, change, wanted, workers)
    refusals = [*change.refusals, *_outdated_workers(workers, wanted)]
    if refusals:
        return _answer("refused", change, refusals=refusals)
    try:
        _hold(here, change)
        change = compare(old, wanted, ledger.exposure)  # from here on nothing opens that would have to be closed first
        renewed = {*change.renewed, *change.of(Kind.ADDED), *outdated}
        revision = None if change.refusals else applied.apply(wanted, seen=seen, renewed=sorted(renewed))
    except BaseException:
        _let_go(here, change)
        raise
    if revision is None:
        _let_go(here, change)
        return _answer("refused", change, refusals=change.refusals or [OVERTAKEN])
    notes = list(_welcome(here, change.of(Kind.ADDED)))
    here.bus.publish(list(_events(change, revision, reason)))
    here.refresh()
    answer = _answer("applied", change, revision=revision, notes=notes)
    return answer | _consumed(here, change, wanted, workers)


def _outdated_symbols(here: Runtime, wanted: Content) -> list[str]:
    """Return the symbols whose services were built of something else, whatever was applied."""
    built = here.config.applied.built(list(wanted["symbols"]))
    return [name for name, one in built.items() if one.fingerprint != fingerprint(wanted, name)]


def _outdated_workers(workers: Sequence[WorkerFiles], wanted: Content) -> Iterator[str]:
    """Yield a line for each worker that could not build what is wanted."""
    for worker in workers:
        served = [name for name in worker.queues if name in wanted["symbols"]]
        other = [name for name in served if worker.fingerprints.get(name) != fingerprint(wanted, name)]
        if other and worker.faults:
            yield f"worker {worker.node} cannot use its files: {'; '.join(worker.faults)}"
        elif other:
            yield (
                f"worker {worker.node} reads another configuration of {', '.join(other)}: give its machine the same "
                "files and the same TRADING__ environment, then ask again"
            )


def _hold(here: Runtime, change: Change) -> None:
    """Have symbols open nothing that must be flat for the change, so that they stay what they were found to be."""
    for one in _flat(change):
        if one.kind is Kind.REMOVED:
            reason = "it was removed from the configuration"
            here.stores.ledger.hold(one.symbol, DesiredState.STOPPED, held_by=HeldBy.REMOVAL, reason=reason)
            here.stores.store.set_desired(one.symbol, DesiredState.STOPPED)
        else:
            reason = "its configuration changes"
            here.stores.ledger.hold(one.symbol, DesiredState.PAUSED, held_by=HeldBy.CONFIG_CHANGE, reason=reason)


def _let_go(here: Runtime, change: Change) -> None:
    for one in _flat(change):
        held_by = HeldBy.REMOVAL if one.kind is Kind.REMOVED else HeldBy.CONFIG_CHANGE
        here.stores.ledger.release(one.symbol, held_by=held_by, reason="its configuration stays as it was")
        here.stores.store.set_desired(one.symbol, here.stores.ledger.desired(one.symbol))


def _flat(change: Change) -> list[SymbolChange]:
    return [one for one in change.symbols if one.needs_flat]


def _welcome(here: Runtime, symbols: Sequence[str]) -> Iterator[str]:
    """Let symbols run that are there again, and yield a line for each that a person has paused or stopped."""
    ledger, store = here.stores.ledger, here.stores.store
    for symbol in symbols:
        ledger.release(symbol, held_by=HeldBy.REMOVAL, reason="it is in the configuration again")
        desired = ledger.desired(symbol)
        store.set_desired(symbol, desired)
        if desired is not DesiredState.RUNNING:
            yield f"{symbol} is {desired} since an earlier time: celery -A tasks trading start {symbol}"


def _events(change: Change, revision: int, reason: str) -> Iterator[Event]:
    for one in change.symbols:
        told = "; ".join(map(str, one.differences)) or one.kind.value
        details = {"revision": revision, "asked": reason, **_told(one)}
        yield Event(type=EventType.CONFIG_CHANGED, symbol=one.symbol, reason=told, details=details)
    if change.shared:
        details = {"revision": revision, "asked": reason, "differences": [one.as_dict() for one in change.shared]}
        told = "; ".join(map(str, change.shared))
        yield Event(type=EventType.CONFIG_CHANGED, reason=told, details=details)


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
        "changes": [{"symbol": one.symbol, **_told(one)} for one in change.symbols] if change else [],
        "shared": [one.as_dict() for one in change.shared] if change else [],
        "notes": list(notes),
        "launcher": None,
        "unserved": [],
        "idle": [],
    }


def _told(one: SymbolChange) -> Answer:
    return {"change": one.kind.value, "differences": [difference.as_dict() for difference in one.differences]}


def _consumed(here: Runtime, change: Change, wanted: Content, workers: Sequence[WorkerFiles]) -> Answer:
    """Return whose queues nobody consumes, and who still consumes those of removed symbols, with what to do."""
    served = {queue for worker in workers for queue in worker.queues}
    roomy = next((worker.node for worker in workers if served & set(wanted["symbols"]) & set(worker.queues)), None)
    idle = [(name, one.node) for name in change.of(Kind.REMOVED) for one in workers if name in one.queues]
    launcher = here.config.applied.launcher()
    return {
        "launcher": launcher and launcher.host,
        "unserved": [
            {"symbol": name, "commands": list(_serving(name, roomy))}
            for name in wanted["symbols"]
            if name not in served
        ],
        "idle": [
            {"symbol": name, "node": node, "command": f"celery -A tasks control cancel_consumer {name} -d {node}"}
            for name, node in idle
        ],
    }


def _serving(symbol: str, node: str | None) -> Iterator[str]:
    """Yield the commands of which each one has the symbol's queue consumed."""
    yield f"celery -A tasks worker -Q {symbol}"
    if node:
        yield f"celery -A tasks control add_consumer {symbol} -d {node}"
