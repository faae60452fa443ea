"""Completeness of the places: each method of the ports has a place, or is listed as writing nothing."""

import inspect

import pytest

from adapters.ledger.ledger import SqlLedger
from adapters.symbol_store.redis import RedisSymbolStore
from adapters.venues.fault_injection.venue import FaultInjectingVenue
from tests.chaos.kill_points.places import HOOKED, LISTED, hooked_methods
from trading.ports.candle_source import CandleSource
from trading.ports.ledger import Ledger
from trading.ports.symbol_store import SymbolStore
from trading.ports.venue import Venue

CELERYS_OWN = {"task.run", "message.publish", "message.acknowledge"}


def methods_of(port: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")}


def reads_of(name: str) -> frozenset[str]:
    return next(one.reads for one in HOOKED if one.name == name)


@pytest.mark.parametrize(
    ("port", "owner", "name"), [(Ledger, SqlLedger, "ledger"), (SymbolStore, RedisSymbolStore, "store")]
)
def test_each_method_of_a_store_is_a_place_or_a_known_read(port: type, owner: type, name: str) -> None:
    placed = set(hooked_methods()[owner])

    assert methods_of(port) - reads_of(name) <= placed
    assert not reads_of(name) & placed


def test_each_call_of_the_venue_is_a_place() -> None:
    assert methods_of(Venue) <= set(hooked_methods()[FaultInjectingVenue])


def test_each_question_to_the_source_is_a_place() -> None:
    assert {f"source.{name}" for name in methods_of(CandleSource)} <= {
        name for methods in hooked_methods().values() for name in methods.values()
    }


@pytest.mark.parametrize("one", HOOKED, ids=lambda one: one.name)
def test_known_read_exists(one: object) -> None:
    reads, owner = one.reads, one.owner  # type: ignore[attr-defined]  # a Hooked

    assert {name for name in reads if not callable(getattr(owner, name, None))} == set()


def test_each_listed_place_is_hooked() -> None:
    hooked = {name for methods in hooked_methods().values() for name in methods.values()}
    listed = {name for names in LISTED.values() for name in names}

    assert listed - hooked == CELERYS_OWN


def test_each_write_of_the_ledger_is_listed_where_it_is_done() -> None:
    listed = {name for names in LISTED.values() for name in names}
    writes = {f"ledger.{name}" for name in methods_of(Ledger) - reads_of("ledger")}

    assert writes <= listed
