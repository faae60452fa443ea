"""Which worker serves which symbols, while symbols come and go: planned here, carried out by the launcher."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trading.structs import replace


@dataclass(frozen=True, slots=True)
class WorkerAssignment:
    """The symbols of one worker.

    Attributes:
        name: Of the worker; it stays the same whatever the worker serves.
    """

    name: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do so that every symbol has a worker, and no other symbol has one.

    Attributes:
        assignments: As they are then.
        started: Crews that need a worker.
        ended: Crews whose worker has nothing left to serve.
        joined: (crew, symbol) that a worker shall take on.
        left: (crew, symbol) that a worker shall let go.
    """

    assignments: tuple[WorkerAssignment, ...]
    started: tuple[WorkerAssignment, ...] = ()
    ended: tuple[WorkerAssignment, ...] = ()
    joined: tuple[tuple[WorkerAssignment, str], ...] = ()
    left: tuple[tuple[WorkerAssignment, str], ...] = ()


def first_assignments(symbols: Sequence[str], symbols_per_worker: int) -> tuple[WorkerAssignment, ...]:
    """Return the crews of a start, in the order of the symbols.

    Raises:
        ValueError: `symbols_per_worker` is below 1.
    """
    if symbols_per_worker < 1:
        raise ValueError(f"symbols_per_worker is {symbols_per_worker}; allowed: 1 or more")
    groups = [tuple(symbols[at : at + symbols_per_worker]) for at in range(0, len(symbols), symbols_per_worker)]
    return tuple(
        WorkerAssignment(group[0] if len(group) == 1 else f"{group[0]}+{len(group) - 1}", group) for group in groups
    )


def plan(assignments: Sequence[WorkerAssignment], symbols: Sequence[str], symbols_per_worker: int) -> Plan:
    """Return what to do: a symbol that stays is never moved, a new one goes where there is room, or to a new worker."""
    left = [(assignment, name) for assignment in assignments for name in assignment.symbols if name not in symbols]
    kept = {
        assignment.name: replace(assignment, symbols=tuple(one for one in assignment.symbols if one in symbols))
        for assignment in assignments
    }
    ended = tuple(assignment for assignment in assignments if not kept[assignment.name].symbols)
    served = {name for assignment in kept.values() for name in assignment.symbols}
    started: set[str] = set()
    for assignment in ended:
        del kept[assignment.name]
    joined: list[tuple[str, str]] = []
    for symbol in (name for name in symbols if name not in served):
        roomy = next((assignment for assignment in kept.values() if len(assignment.symbols) < symbols_per_worker), None)
        if roomy is None:
            roomy = WorkerAssignment(_free_name(symbol, {*kept, *(assignment.name for assignment in assignments)}), ())
            started.add(roomy.name)
        elif roomy.name not in started:
            joined.append((roomy.name, symbol))
        kept[roomy.name] = replace(roomy, symbols=(*roomy.symbols, symbol))
    return Plan(
        tuple(kept.values()),
        tuple(assignment for assignment in kept.values() if assignment.name in started),
        ended,
        tuple((kept[name], symbol) for name, symbol in joined),
        tuple((kept[assignment.name], symbol) for assignment, symbol in left if assignment.name in kept),
    )


def _free_name(symbol: str, taken: Collection[str]) -> str:
    name, number = symbol, 1
    while name in taken:
        number += 1
        name = f"{symbol}-{number}"
    return name
