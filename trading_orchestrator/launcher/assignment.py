"""Plan which worker serves which symbols, as symbols are added and removed; the launcher carries it out."""

from collections.abc import Collection, Sequence

from msgspec import Struct

from trading.structs import replace


class WorkerAssignment(Struct, frozen=True):
    """The symbols of one worker.

    Attributes:
        name: Worker name; it does not change with the symbols served.
    """

    name: str
    symbols: tuple[str, ...]


class Plan(Struct, frozen=True):
    """Changes after which every configured symbol, and no other, has a worker.

    Attributes:
        assignments: The assignments afterwards.
        started: Assignments that need a new worker.
        ended: Assignments whose worker has no symbols left.
        joined: (assignment, symbol) pairs to add to a worker.
        left: (assignment, symbol) pairs to remove from a worker.
    """

    assignments: tuple[WorkerAssignment, ...]
    started: tuple[WorkerAssignment, ...] = ()
    ended: tuple[WorkerAssignment, ...] = ()
    joined: tuple[tuple[WorkerAssignment, str], ...] = ()
    left: tuple[tuple[WorkerAssignment, str], ...] = ()


def first_assignments(symbols: Sequence[str], symbols_per_worker: int) -> tuple[WorkerAssignment, ...]:
    """Return the initial assignments, in the order of the symbols.

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
    """Plan the changes: existing symbols are not moved; a new one joins a worker with capacity or gets a new worker."""
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
