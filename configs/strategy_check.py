"""Check each symbol's strategy with its parameters: what is wrong is found before anything trades."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from configs.errors import dotted, fault_line
from configs.validation_errors import Checked, Path, describe
from trading.strategies import StrategyFault
from trading.strategies.invocation import made
from trading.strategies.registry import strategy_class


def strategy_faults(checked: Checked) -> list[str]:
    """Return a line for each fault in the strategies of `symbols.yaml`, which is what was checked."""
    symbols = checked.content.get("symbols")
    entries = symbols.items() if isinstance(symbols, Mapping) else ()
    return [
        fault
        for name, entry in entries
        if isinstance(entry, Mapping)
        for path, strategy in _named(entry)
        for fault in _faults(checked, ("symbols", name, *path), strategy)
    ]


def _named(entry: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield each strategy of a symbol with its place below the symbol's name."""
    books = entry.get("strategies")
    if isinstance(entry.get("strategy"), Mapping):
        yield ("strategy",), entry["strategy"]
    for name, book in books.items() if isinstance(books, Mapping) else ():
        if isinstance(book, Mapping):
            yield ("strategies", name), book


def _faults(checked: Checked, at: Path, strategy: Mapping[str, Any]) -> list[str]:
    name, params = strategy.get("name"), strategy.get("params", {})
    if not isinstance(name, str) or not isinstance(params, Mapping):
        return []  # the models have a line for it
    try:
        found = strategy_class(name)
    except ValueError as error:
        path = (*at, "name")
        return [fault_line(checked.source(path), path, name, str(error))]
    try:
        made(found, params)
    except StrategyFault as fault:
        path = (*at, "name")
        return [f"{checked.source(path)}: {dotted(path)}: {fault}"]
    except ValidationError as error:
        part = Checked(found.model_json_schema, checked.where, params, checked.origins, (*at, "params"))
        return describe(error, part)
    return []
