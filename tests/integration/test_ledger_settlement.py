"""Claims, fills out of order, and incidents in the ledger, on SQLite and on a real PostgreSQL."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.ledger import SqlLedger
from tests.integration.test_ledger import MINUTE_MS, T0_MS, accept, enter, fill_of, request_of, view_of
from trading.errors import Broken
from trading.incidents import Incident, IncidentKind
from trading.orders import Fill, Leg, OrderState, Side, protective_order_id
from trading.ports import Intent, Mark
from trading.risk import Planned
from trading.values import replace

pytest_plugins = ("tests.fixtures.databases",)

BALANCE = 10_000.0
LOST = Incident(IncidentKind.POSITION_MISMATCH, "XAUUSD", "position", "2 here, 3 there", {"venue_units": 3.0})


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


def reversal(ledger: SqlLedger) -> tuple[Intent, Intent]:
    """Plan an exit and the entry that waits for it."""
    leave, turn = request_of(leg=Leg.EXIT, side=Side.SELL), request_of(side=Side.SELL)
    planned = accept(Planned(leave), Planned(turn, 20.0))
    first, second = ledger.decide("XAUUSD", "trend", T0_MS, planned, correlation_id="c").intents
    return first, second


def claim(intent: Intent, number: int) -> Mark:
    return Mark(intent.request.client_order_id, OrderState.SUBMITTING, claims=number)


# claims


def test_decide_claims_the_first_order_and_leaves_the_one_that_waits_for_it_planned(ledger: SqlLedger) -> None:
    leave, turn = reversal(ledger)
    assert [(one.state, one.attempt) for one in (leave, turn)] == [(OrderState.SUBMITTING, 1), (OrderState.PLANNED, 0)]
    assert ledger.unsettled("XAUUSD") == [leave, turn]


def test_mark_claim_by_number_is_given_once_and_writes_nothing_else_when_it_is_not(ledger: SqlLedger) -> None:
    leave, turn = reversal(ledger)
    accepted = Mark(leave.request.client_order_id, OrderState.ACCEPTED, "v1")
    assert ledger.mark(accepted, claim(turn, 1))
    assert not ledger.mark(Mark(leave.request.client_order_id, OrderState.CANCELED), claim(turn, 1))
    assert [one.state for one in ledger.unsettled("XAUUSD")] == [OrderState.ACCEPTED, OrderState.SUBMITTING]
    assert ledger.mark(claim(turn, 2))
    assert [one.attempt for one in ledger.unsettled("XAUUSD")] == [1, 2]


def test_mark_claim_of_an_order_that_has_ended_is_refused(ledger: SqlLedger) -> None:
    _, turn = reversal(ledger)
    ledger.mark(Mark(turn.request.client_order_id, OrderState.EXPIRED, reason="too old"))
    assert not ledger.mark(claim(turn, 1))


def test_mark_claims_racing_are_given_to_one(ledger: SqlLedger) -> None:
    _, turn = reversal(ledger)
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: ledger.mark(claim(turn, 1)), range(24)))
    assert given.count(True) == 1


def test_mark_of_a_planned_order_as_accepted_is_broken_and_undoes_what_came_with_it(ledger: SqlLedger) -> None:
    leave, turn = reversal(ledger)
    with pytest.raises(Broken, match="from planned to accepted"):
        ledger.mark(
            Mark(leave.request.client_order_id, OrderState.UNKNOWN),
            Mark(turn.request.client_order_id, OrderState.ACCEPTED),
        )
    assert ledger.unsettled("XAUUSD") == [leave, turn]


def test_unsettled_order_tells_how_long_ago_it_was_claimed(ledger: SqlLedger) -> None:
    enter(ledger, request_of())
    (intent,) = ledger.unsettled("XAUUSD")
    assert 0.0 <= intent.claimed_ago_s < 60.0


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


def test_record_fills_before_an_earlier_one_is_seen_gives_the_events_of_the_true_order(ledger: SqlLedger) -> None:
    enter(ledger, ENTRY)
    fills = story()[:4]
    ledger.record_fills("XAUUSD", fills[2:])
    booked = ledger.record_fills("XAUUSD", fills[:2])
    assert [(fill.sequence, before.units, after.units) for fill, before, after in booked] == [
        (1, 0.0, 0.5),
        (2, 0.5, 2.0),
    ]
    (position,) = ledger.positions()
    assert position.units == 0.0
    assert position.realised == pytest.approx(-0.5 * 10 - 1.5 * 11 - 0.8)


def test_fills_from_lies_some_fills_before_the_newest(ledger: SqlLedger) -> None:
    enter(ledger, ENTRY)
    fills = [fill_of(ENTRY, number, units=0.01) for number in range(1, 31)]
    assert ledger.fills_from("XAUUSD") == 0
    ledger.record_fills("XAUUSD", fills[:10])
    assert ledger.fills_from("XAUUSD") == 0
    ledger.record_fills("XAUUSD", fills[10:])
    assert 0 < ledger.fills_from("XAUUSD") < 30
    assert ledger.fills_from("BTCUSD") == 0


def test_order_states_knows_ours_and_their_protective_orders_and_nobody_elses(ledger: SqlLedger) -> None:
    mine = enter(ledger, ENTRY).request.client_order_id
    stop = protective_order_id(mine, Leg.STOP_LOSS)
    assert ledger.order_states([mine, stop, "by-hand"]) == {mine: OrderState.SUBMITTING, stop: OrderState.SUBMITTING}
    assert ledger.order_states([]) == {}


# what an entry's value reserves


def test_view_counts_the_value_of_entries_on_their_way_and_open_until_they_are_closed(ledger: SqlLedger) -> None:
    enter(ledger, ENTRY)
    on_its_way = view_of(ledger).open_notional
    ledger.record_fills("XAUUSD", story()[:2])
    is_open = view_of(ledger).open_notional
    ledger.record_fills("XAUUSD", story()[2:4])
    assert (on_its_way, is_open, view_of(ledger).open_notional) == (200.0, 200.0, 0.0)


# incidents


def test_incident_halts_its_symbol_alone_until_it_is_resolved(ledger: SqlLedger) -> None:
    assert ledger.open_incidents([LOST]) == [LOST]
    assert ledger.incidents_of("XAUUSD") == [LOST]
    assert view_of(ledger, "XAUUSD").halted == LOST.reason
    assert view_of(ledger, "BTCUSD").halted is None
    (row,) = ledger.incidents()
    assert ledger.resolve_incident(row["id"], "traded back") is not None
    assert view_of(ledger, "XAUUSD").halted is None
    assert ledger.incidents() == []
    (closed,) = ledger.incidents(only_open=False)
    assert (closed["resolution"], closed["details"]) == ("traded back", {"venue_units": 3.0})


def test_open_incidents_alike_are_told_once_while_open_and_again_after_that(ledger: SqlLedger) -> None:
    assert ledger.open_incidents([LOST, LOST]) == [LOST]
    assert ledger.open_incidents([LOST]) == []
    ledger.resolve_incident(ledger.incidents()[0]["id"], "seen")
    assert ledger.open_incidents([LOST]) == [LOST]


def test_open_incident_of_one_fill_is_told_once_for_ever(ledger: SqlLedger) -> None:
    foreign = Incident(IncidentKind.FOREIGN_FILL, "XAUUSD", "fill-9", "by hand")
    assert ledger.open_incidents([foreign]) == [foreign]
    ledger.resolve_incident(ledger.incidents()[0]["id"], "mine")
    assert ledger.open_incidents([foreign]) == []


def test_open_incidents_racing_open_one(ledger: SqlLedger) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(itertools.chain(*pool.map(lambda _: ledger.open_incidents([LOST]), range(16))))
    assert opened == [LOST]


def test_resolve_incident_of_a_lost_order_ends_the_order(ledger: SqlLedger) -> None:
    identity = enter(ledger, ENTRY).request.client_order_id
    ledger.mark(Mark(identity, OrderState.ACCEPTED, "v1"))
    ledger.open_incidents([Incident(IncidentKind.ORDER_LOST, "XAUUSD", identity, "gone")])
    ledger.resolve_incident(ledger.incidents()[0]["id"], "asked them")
    assert ledger.unsettled("XAUUSD") == []
    assert ledger.order_states([identity]) == {identity: OrderState.EXPIRED}
    assert view_of(ledger).open_positions == 0


def test_fill_of_an_order_that_was_given_up_opens_its_incident_with_the_fill_or_not_at_all(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = enter(ledger, ENTRY).request.client_order_id
    ledger.mark(Mark(identity, OrderState.EXPIRED))
    fill = fill_of(ENTRY, 1)

    def broken(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_open", broken)
        with pytest.raises(InterruptedError):
            ledger.record_fills("XAUUSD", [fill])
    assert (ledger.fills(), ledger.incidents()) == ([], [])

    ledger.record_fills("XAUUSD", [fill])
    ledger.record_fills("XAUUSD", [fill])
    (late,) = ledger.incidents_of("XAUUSD")
    assert (late.kind, late.key) == (IncidentKind.LATE_FILL, "fill-1")
    assert "had ended as expired" in late.reason
    assert ledger.untold("XAUUSD") == [late]


def test_fill_of_an_order_that_was_given_up_and_of_its_stop_tells_of_the_order_alone(ledger: SqlLedger) -> None:
    identity = enter(ledger, ENTRY).request.client_order_id
    ledger.mark(Mark(identity, OrderState.CANCELED))
    ledger.record_fills("XAUUSD", story()[:4])
    assert [one.key for one in ledger.incidents_of("XAUUSD")] == ["fill-1", "fill-2"]


def test_untold_incidents_are_those_that_are_open_and_not_marked(ledger: SqlLedger) -> None:
    others = [replace(LOST, key="other"), replace(LOST, symbol="BTCUSD"), replace(LOST, key="seen")]
    ledger.open_incidents([LOST, *others])
    ledger.resolve_incident(ledger.incidents()[0]["id"], "seen before it was told")
    ledger.mark_told([])
    assert ledger.untold("XAUUSD") == [LOST, others[0]]
    ledger.mark_told([LOST])
    assert ledger.untold("XAUUSD") == [others[0]]
    assert ledger.untold("BTCUSD") == [others[1]]


def test_incident_that_is_opened_again_is_to_be_told_again(ledger: SqlLedger) -> None:
    ledger.open_incidents([LOST])
    ledger.mark_told([LOST])
    ledger.resolve_incident(ledger.incidents()[0]["id"], "seen")
    ledger.open_incidents([LOST])
    assert ledger.untold("XAUUSD") == [LOST]


def test_open_incidents_of_many_fills_asks_once(engine: Engine, ledger: SqlLedger) -> None:
    many = [Incident(IncidentKind.FOREIGN_FILL, "XAUUSD", f"fill-{number}", "by hand") for number in range(300)]
    assert len(ledger.open_incidents(many)) == 300
    asked: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: asked.append(statement))

    assert ledger.open_incidents(many) == []
    assert len([statement for statement in asked if "incidents" in statement]) == 1
    assert len(ledger.open_incidents([*many, LOST, LOST])) == 1


def test_resolve_incident_that_is_not_there_returns_none(ledger: SqlLedger) -> None:
    assert ledger.resolve_incident(77, "what") is None
