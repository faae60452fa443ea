"""Which worker serves which symbols, while symbols come and go: planned here, carried out by the launcher."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Crew:
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
        crews: As they are then.
        started: Crews that need a worker.
        ended: Crews whose worker has nothing left to serve.
        joined: (crew, symbol) that a worker shall take on.
        left: (crew, symbol) that a worker shall let go.
    """

    crews: tuple[Crew, ...]
    started: tuple[Crew, ...] = ()
    ended: tuple[Crew, ...] = ()
    joined: tuple[tuple[Crew, str], ...] = ()
    left: tuple[tuple[Crew, str], ...] = ()


def first_crews(symbols: Sequence[str], symbols_per_worker: int) -> tuple[Crew, ...]:
    """Return the crews of a start, in the order of the symbols.

    Raises:
        ValueError: `symbols_per_worker` is below 1.
    """
    if symbols_per_worker < 1:
        raise ValueError(f"symbols_per_worker is {symbols_per_worker}; allowed: 1 or more")
    groups = [tuple(symbols[at : at + symbols_per_worker]) for at in range(0, len(symbols), symbols_per_worker)]
    return tuple(Crew(group[0] if len(group) == 1 else f"{group[0]}+{len(group) - 1}", group) for group in groups)


def plan(crews: Sequence[Crew], symbols: Sequence[str], symbols_per_worker: int) -> Plan:
    """Return what to do: a symbol that stays is never moved, a new one goes where there is room, or to a new worker."""
    left = [(crew, name) for crew in crews for name in crew.symbols if name not in symbols]
    kept = {crew.name: replace(crew, symbols=tuple(one for one in crew.symbols if one in symbols)) for crew in crews}
    ended = tuple(crew for crew in crews if not kept[crew.name].symbols)
    served = {name for crew in kept.values() for name in crew.symbols}
    started: set[str] = set()
    for crew in ended:
        del kept[crew.name]
    joined: list[tuple[str, str]] = []
    for symbol in (name for name in symbols if name not in served):
        roomy = next((crew for crew in kept.values() if len(crew.symbols) < symbols_per_worker), None)
        if roomy is None:
            roomy = Crew(_free_name(symbol, {*kept, *(crew.name for crew in crews)}), ())
            started.add(roomy.name)
        elif roomy.name not in started:
            joined.append((roomy.name, symbol))
        kept[roomy.name] = replace(roomy, symbols=(*roomy.symbols, symbol))
    return Plan(
        tuple(kept.values()),
        tuple(crew for crew in kept.values() if crew.name in started),
        ended,
        tuple((kept[name], symbol) for name, symbol in joined),
        tuple((kept[crew.name], symbol) for crew, symbol in left if crew.name in kept),
    )


def _free_name(symbol: str, taken: Collection[str]) -> str:
    name, number = symbol, 1
    while name in taken:
        number += 1
        name = f"{symbol}-{number}"
    return name
