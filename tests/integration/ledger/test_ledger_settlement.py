"""Claims, fills out of order, and incidents in the ledger, on SQLite and on a real PostgreSQL."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.ledger import incidents
from adapters.ledger.ledger import SqlLedger
from trading.incidents.incident import Incident, IncidentKind
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Fill, Leg, OrderState, Side, protective_order_id
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    BALANCE,
    MINUTE_MS,
    T0_MS,
    claim,
    enter,
    fill_of,
    request_of,
    reversal,
    view_of,
)

pytest_plugins = ("tests.fixtures.servers.databases",)

LOST = Incident(IncidentKind.POSITION_MISMATCH, "XAUUSD", "position", "2 here, 3 there", {"venue_units": 3.0})


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


# claims


def test_mark_claims_racing_are_given_to_one(ledger: SqlLedger) -> None:
    _, turn = reversal(ledger)
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: ledger.mark(claim(turn, 1)), range(24)))
    assert given.count(True) == 1


# fills out of order

ENTRY, TURN = request_of(), request_of(open_ms=T0_MS + MINUTE_MS, side=Side.SELL)


def story() -> list[Fill]:
    """Two halves of an entry, its stop in two parts, and an entry the other way that stays open."""
    stop = protective_order_id(ENTRY.client_order_id, Leg.STOP_LOSS)

    def stop_fill(sequence: int, units: float) -> Fill:
        market_ms = T0_MS + 2 * MINUTE_MS
        leg, side = Leg.STOP_LOSS, Side.SELL
        return Fill(sequence, f"fill-{sequence}", stop, "XAUUSD", "trend", leg, side, units, 90.0, 0.3, market_ms)

    return [
        fill_of(ENTRY, 1, units=0.5, price=100.0, fee=0.1),
        fill_of(ENTRY, 2, units=1.5, price=101.0, fee=0.1),
        stop_fill(3, 1.25),
        stop_fill(4, 0.75),
        fill_of(TURN, 5, units=2.0, price=89.0, fee=0.2),
    ]


def books(ledger: SqlLedger) -> dict[str, Any]:
    plain = [{name: value for name, value in row.items() if name != "market_ms"} for row in ledger.orders()]
    return {
        "positions": ledger.positions(),
        "fills": ledger.fills(),
        "orders": sorted(plain, key=lambda row: str(row["client_order_id"])),
        "view": view_of(ledger, "BTCUSD"),
    }


def test_record_fills_in_any_order_of_arrival_comes_to_the_same_books(engine: Engine) -> None:
    fills = story()
    orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 3, 1, 4], [0, 3, 4, 1, 2], [1, 4, 0, 2, 3]]
    found = []
    for number, order in enumerate(orders):
        ledger = SqlLedger(engine, f"account-{number}", BALANCE)
        rename = {}
        for one in (ENTRY, TURN):
            mine = request_of(open_ms=one.decided_ms - MINUTE_MS, side=one.side, account=f"account-{number}")
            rename[one.client_order_id] = enter(ledger, mine).request.client_order_id
        renamed = [_of_account(fill, rename) for fill in fills]
        for at in order:
            ledger.record_fills("XAUUSD", [renamed[at]])
        found.append(_without_names(books(ledger)))
    assert found[0]["positions"][0].units == -2.0
    for other in found[1:]:
        assert other == found[0]


def _of_account(fill: Fill, rename: dict[str, str]) -> Fill:
    identity = fill.client_order_id
    stop = protective_order_id(ENTRY.client_order_id, Leg.STOP_LOSS)
    mine = protective_order_id(rename[ENTRY.client_order_id], Leg.STOP_LOSS) if identity == stop else rename[identity]
    return replace(fill, client_order_id=mine)


def _without_names(found: dict[str, Any]) -> dict[str, Any]:
    drop = {"account", "client_order_id"}
    for name in ("fills", "orders"):
        kept = [{key: value for key, value in row.items() if key not in drop} for row in found[name]]
        found[name] = sorted(kept, key=repr)
    # how high the balance stood is what was known then: a fill that comes late does not unmake a fall that was seen
    known = {"peak_balance": 0.0, "drawdown": 0.0}
    found["view"] = replace(found["view"], day_realised=round(found["view"].day_realised, 9), **known)
    return found


# incidents


def test_resolve_incident_keeps_its_row_with_the_resolution(ledger: SqlLedger) -> None:
    ledger.open_incidents([LOST])
    (row,) = ledger.incidents()
    assert ledger.resolve_incident(row["id"], "traded back") is not None
    assert ledger.incidents() == []
    (closed,) = ledger.incidents(only_open=False)
    assert (closed["resolution"], closed["details"]) == ("traded back", {"venue_units": 3.0})


def test_open_incidents_racing_open_one(ledger: SqlLedger) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(itertools.chain(*pool.map(lambda _: ledger.open_incidents([LOST]), range(16))))
    assert opened == [LOST]


def test_fill_of_an_order_that_was_abandoned_opens_its_incident_with_the_fill_or_not_at_all(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = enter(ledger, ENTRY).request.client_order_id
    ledger.mark(OrderUpdate(identity, OrderState.EXPIRED))
    fill = fill_of(ENTRY, 1)

    def broken(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(incidents, "open_incidents", broken)
        with pytest.raises(InterruptedError):
            ledger.record_fills("XAUUSD", [fill])
    assert (ledger.fills(), ledger.incidents()) == ([], [])

    ledger.record_fills("XAUUSD", [fill])
    ledger.record_fills("XAUUSD", [fill])
    (late,) = ledger.incidents_of("XAUUSD")
    assert (late.kind, late.key) == (IncidentKind.LATE_FILL, "fill-1")
    assert "had ended as expired" in late.reason
    assert ledger.unpublished("XAUUSD") == [late]


def test_open_incidents_of_many_fills_queries_once(engine: Engine, ledger: SqlLedger) -> None:
    many = [Incident(IncidentKind.FOREIGN_FILL, "XAUUSD", f"fill-{number}", "by hand") for number in range(300)]
    assert len(ledger.open_incidents(many)) == 300
    queries: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: queries.append(statement))

    assert ledger.open_incidents(many) == []
    assert len([statement for statement in queries if "incidents" in statement]) == 1
    assert len(ledger.open_incidents([*many, LOST, LOST])) == 1


def test_resolve_incident_that_is_not_there_returns_none(ledger: SqlLedger) -> None:
    assert ledger.resolve_incident(77, "what") is None
