"""Stops that move, in the ledger: on SQLite, on a real PostgreSQL, and in memory where that is asked the same."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.engine import Engine

from adapters.backup import LEDGER, backup
from adapters.database import create_engine
from adapters.ledger import SqlLedger
from adapters.ledger_rules import check_rules
from adapters.ledger_verify import Difference, recompute
from adapters.memory import MemoryLedger
from adapters.restore import restore
from adapters.schema import alembic_config, migrate
from adapters.snapshot import snapshot
from adapters.tables import positions, stop_moves
from tests.integration.test_ledger import MINUTE_MS, T0_MS, accept, enter, fill_of, request_of, view_of
from trading.incidents import Incident, IncidentKind
from trading.lifecycle import DesiredState
from trading.orders import Leg, OrderRequest, OrderState, Side, protective_order_id
from trading.ports import Ledger, Mark
from trading.positions import Position, StopMove
from trading.risk import Planned
from trading.values import replace

pytest_plugins = ("tests.fixtures.databases",)

BALANCE = 10_000.0
HALT = Incident(IncidentKind.POSITION_MISMATCH, "XAUUSD", "position", "2 here, 3 there", {"venue_units": 3.0})


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger("main", BALANCE)
        return
    kind = "sqlite_ledger_url" if request.param == "sqlite" else "postgres_ledger_url"
    engine = create_engine(request.getfixturevalue(kind))
    yield SqlLedger(engine, "main", BALANCE)
    engine.dispose()


@pytest.fixture
def books(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


def at(minute: int) -> int:
    return T0_MS + minute * MINUTE_MS


def opened(ledger: Ledger, *, side: Side = Side.BUY, stop_loss: float | None = 90.0) -> OrderRequest:
    """Open two units at 100, decided at the first candle, with a stop at 90."""
    entry = replace(request_of(side=side), stop_loss=stop_loss)
    enter(ledger, entry)
    ledger.record_fills("XAUUSD", [fill_of(entry)])
    return entry


def closed(ledger: Ledger, *, minute: int = 5, sequence: int = 2) -> None:
    leave = request_of(open_ms=at(minute), leg=Leg.EXIT, side=Side.SELL)
    ledger.decide("XAUUSD", "trend", at(minute), accept(Planned(leave)), correlation_id="x")
    ledger.record_fills("XAUUSD", [fill_of(leave, sequence, market_ms=at(minute + 1))])


def move(ledger: Ledger, stop_loss: float, *, minute: int = 2, reason: str = "trailing") -> StopMove | None:
    return ledger.move_stop("XAUUSD", "trend", at(minute), stop_loss, reason, correlation_id=f"c{minute}")


def position(ledger: Ledger) -> Position:
    (found,) = ledger.positions()
    return found


def differences(engine: Engine) -> Sequence[Difference]:
    with snapshot(engine) as connection:
        findings = recompute(connection, lambda _: None)
        check_rules(connection, findings, lambda _: None)
    return findings.differences


def test_move_is_written_down_with_its_reason_and_the_position_has_the_stop(ledger: Ledger) -> None:
    entry = opened(ledger)
    before = position(ledger)

    moved = move(ledger, 95.0)

    assert moved == StopMove("XAUUSD", "trend", at(2), entry.client_order_id, 90.0, 95.0, "trailing")
    assert moved.is_current
    assert position(ledger) == replace(before, stop_loss=95.0)
    assert ledger.stop_move("XAUUSD", "trend", at(2)) == moved
    assert ledger.stop_move("XAUUSD", "trend", at(3)) is None
    assert ledger.stop_moves("XAUUSD") == [moved]
    assert ledger.stop_moves("BTCUSD") == []


def test_move_of_a_candle_that_comes_again_is_the_earlier_one_whatever_it_asks_for(ledger: Ledger) -> None:
    opened(ledger)
    first = move(ledger, 95.0)
    second = move(ledger, 96.0, minute=3)
    again = move(ledger, 99.0, reason="another")

    assert again == first
    assert again is not None
    assert second is not None
    assert (again.is_current, second.is_current) == (False, True)
    assert position(ledger).stop_loss == 96.0


def test_move_of_a_closed_position_comes_back_as_it_was_and_is_not_current(ledger: Ledger) -> None:
    opened(ledger)
    first = move(ledger, 95.0)
    closed(ledger)
    again = move(ledger, 95.0)

    assert again == first
    assert again is not None
    assert not again.is_current
    assert ledger.stop_moves("XAUUSD") == []
    assert move(ledger, 95.0, minute=7) is None


def test_move_to_where_the_stop_is_and_of_nothing_and_of_the_past_are_not_written_down(ledger: Ledger) -> None:
    assert move(ledger, 95.0) is None
    opened(ledger)
    assert move(ledger, 90.0) is None
    assert move(ledger, 95.0, minute=4) is not None
    assert move(ledger, 96.0, minute=3) is None, "a later candle moved it"
    ledger.decide("XAUUSD", "trend", at(8), accept(), correlation_id="c8")
    assert move(ledger, 96.0, minute=7) is None, "a later candle was decided on"

    assert position(ledger).stop_loss == 95.0
    assert [ledger.stop_move("XAUUSD", "trend", at(minute)) is None for minute in (2, 3, 4, 7)] == [
        *(True, True, False, True)
    ]


def test_move_of_a_position_without_a_stop_is_its_first_one(ledger: Ledger) -> None:
    opened(ledger, stop_loss=None)
    moved = move(ledger, 50.0)

    assert moved is not None
    assert (moved.before, moved.after, moved.refusal) == (None, 50.0, "")
    assert position(ledger).stop_loss == 50.0


@pytest.mark.parametrize(("side", "stop_loss"), [(Side.BUY, 89.9), (Side.SELL, 110.1)])
def test_move_beyond_the_stop_that_the_entry_came_with_is_written_down_as_refused(
    ledger: Ledger, side: Side, stop_loss: float
) -> None:
    came = 100 - side.sign * 10.0
    opened(ledger, side=side, stop_loss=came)
    tighter = move(ledger, 100 - side.sign * 5.0, minute=2)
    looser = move(ledger, 100 - side.sign * 7.0, minute=3)
    refused = move(ledger, stop_loss, minute=4)

    assert [one and one.refusal for one in (tighter, looser)] == ["", ""]
    assert refused is not None
    assert "the stop that the entry came with" in refused.refusal
    assert not refused.is_current
    assert move(ledger, 100.0, minute=4) == refused
    assert position(ledger).stop_loss == 100 - side.sign * 7.0
    assert ledger.stop_moves("XAUUSD") == [tighter, looser]


@pytest.mark.parametrize(
    ("state", "is_refused"), [(DesiredState.PAUSED, False), (DesiredState.STOPPED, True), (DesiredState.RUNNING, False)]
)
def test_move_goes_on_while_the_symbol_is_paused_and_not_while_it_is_stopped(
    ledger: Ledger, state: DesiredState, *, is_refused: bool
) -> None:
    opened(ledger)
    ledger.set_desired("XAUUSD", state, reason="test")
    moved = move(ledger, 95.0)

    assert moved is not None
    assert bool(moved.refusal) is is_refused
    assert position(ledger).stop_loss == (90.0 if is_refused else 95.0)


def test_move_of_a_halted_symbol_is_refused_with_what_a_person_must_look_at(ledger: Ledger) -> None:
    opened(ledger)
    ledger.open_incidents([HALT])
    moved = move(ledger, 95.0)

    assert moved is not None
    assert moved.refusal == "a person must look first: 2 here, 3 there"


def test_move_that_the_venue_refused_leaves_the_stop_where_it_was_before(ledger: Ledger) -> None:
    opened(ledger)
    first, second = move(ledger, 95.0), move(ledger, 96.0, minute=3)
    assert first is not None
    assert second is not None

    refused = ledger.refuse_stop(second, "the venue refused it: too near")

    assert refused == replace(second, refusal="the venue refused it: too near")
    assert ledger.stop_move("XAUUSD", "trend", at(3)) == refused
    assert move(ledger, 96.0, minute=3) == refused
    assert position(ledger).stop_loss == 95.0
    assert ledger.stop_moves("XAUUSD") == [first]
    again = ledger.stop_move("XAUUSD", "trend", at(2))
    assert again is not None
    assert again.is_current
    assert move(ledger, 97.0, minute=4) is not None


def test_move_that_is_refused_late_stays_as_it_is_written_down(ledger: Ledger) -> None:
    opened(ledger)
    first, second = move(ledger, 95.0), move(ledger, 96.0, minute=3)
    assert first is not None

    told = ledger.refuse_stop(first, "too near")

    assert (told, told.refusal, told.is_current) == (first, "", False)
    assert position(ledger).stop_loss == 96.0
    assert ledger.stop_moves("XAUUSD") == [first, second]


def test_rest_of_an_entry_that_fills_after_the_move_leaves_the_moved_stop(ledger: Ledger) -> None:
    entry = request_of()
    enter(ledger, entry)
    ledger.record_fills("XAUUSD", [fill_of(entry, units=0.5)])
    ledger.mark(Mark(entry.client_order_id, OrderState.ACCEPTED, "v1"))
    move(ledger, 95.0)
    ledger.record_fills("XAUUSD", [fill_of(entry, 2, units=1.5, market_ms=at(3))])

    assert (position(ledger).units, position(ledger).stop_loss) == (2.0, 95.0)


def test_next_position_begins_with_the_stop_of_its_own_entry(ledger: Ledger) -> None:
    opened(ledger)
    move(ledger, 95.0)
    closed(ledger)
    entry = request_of(open_ms=at(9))
    enter(ledger, entry)
    ledger.record_fills("XAUUSD", [fill_of(entry, 3, market_ms=at(10))])

    assert position(ledger).stop_loss == 90.0
    moved = move(ledger, 93.0, minute=11)
    assert moved is not None
    assert (moved.entry_id, moved.before) == (entry.client_order_id, 90.0)
    assert ledger.stop_moves("XAUUSD") == [moved]


def test_move_never_holds_less_of_the_account_than_was_judged(ledger: Ledger) -> None:
    entry = request_of()
    enter(ledger, entry, risk=20.0)
    ledger.record_fills("XAUUSD", [fill_of(entry, price=108.0)])
    assert view_of(ledger).open_risk == pytest.approx(36.0)

    move(ledger, 95.0)
    assert view_of(ledger).open_risk == pytest.approx(26.0), "two units, 13 above the stop"
    move(ledger, 107.0, minute=3)
    assert view_of(ledger).open_risk == pytest.approx(20.0)


# what only a database has


def test_fill_that_comes_after_a_later_one_is_folded_with_the_moved_stop(books: SqlLedger, engine: Engine) -> None:
    entry = request_of()
    enter(books, entry)
    books.record_fills("XAUUSD", [fill_of(entry, 2, units=1.5)])
    move(books, 95.0)
    books.record_fills("XAUUSD", [fill_of(entry, 1, units=0.5)])

    assert (position(books).units, position(books).stop_loss) == (2.0, 95.0)
    assert differences(engine) == []


def test_verify_holds_for_moves_and_tells_a_stop_that_none_explains(books: SqlLedger, engine: Engine) -> None:
    opened(books)
    move(books, 95.0)
    second = move(books, 96.0, minute=3)
    assert second is not None
    move(books, 80.0, minute=4)
    assert differences(engine) == []
    books.refuse_stop(second, "too near")
    assert differences(engine) == []

    with engine.begin() as connection:
        connection.execute(sa.update(positions).values(stop_loss=94.0))
    assert [(one.check, one.found, one.expected) for one in differences(engine)] == [
        ("position: stop_loss", "94.0", "95.0")
    ]
    with engine.begin() as connection:
        connection.execute(sa.update(positions).values(stop_loss=95.0))
        connection.execute(sa.update(stop_moves).values(price_before=91.0))
    assert [one.check for one in differences(engine)] == ["stop move: begins"]


def test_verify_holds_for_a_second_entry_that_fills_after_the_stop_of_the_first_was_moved(
    books: SqlLedger, engine: Engine
) -> None:
    opened(books)
    move(books, 95.0)
    late = replace(request_of(open_ms=at(3)), stop_loss=88.0)
    enter(books, late)
    books.record_fills("XAUUSD", [fill_of(late, 2, market_ms=at(4))])

    assert position(books).stop_loss == 88.0
    assert differences(engine) == []
    assert (found := move(books, 96.0, minute=5)) is not None
    assert (found.entry_id, found.before) == (late.client_order_id, 88.0)
    assert differences(engine) == []


def test_verify_holds_for_a_refusal_that_comes_when_the_position_is_over(books: SqlLedger, engine: Engine) -> None:
    opened(books)
    first = move(books, 95.0)
    move(books, 96.0, minute=3)
    closed(books)
    assert first is not None

    books.refuse_stop(first, "no open position")

    assert differences(engine) == []


def test_what_was_written_of_candles_from_a_time_on_is_found_by_strategy_and_candle(ledger: Ledger) -> None:
    opened(ledger)
    first, second = move(ledger, 95.0), move(ledger, 96.0, minute=3)

    found = ledger.written("XAUUSD", ["trend"], at(3))
    everything = ledger.written("XAUUSD", ["trend", "other"], at(0))

    assert found == {("trend", at(3)): second}
    assert [(key, type(one).__name__) for key, one in sorted(everything.items())] == [
        (("trend", at(0)), "Verdict"),
        (("trend", at(2)), "StopMove"),
        (("trend", at(3)), "StopMove"),
    ]
    current = [one.is_current for one in everything.values() if isinstance(one, StopMove)]
    assert sorted(current) == [False, True]
    assert everything["trend", at(2)] == first
    assert ledger.written("XAUUSD", ["other"], at(0)) == {}
    assert ledger.written("XAUUSD", ["trend"], at(4)) == {}


def test_verify_holds_for_the_moves_of_positions_that_followed_one_another(books: SqlLedger, engine: Engine) -> None:
    opened(books)
    move(books, 95.0)
    closed(books)
    entry = request_of(open_ms=at(9), side=Side.SELL)
    enter(books, replace(entry, stop_loss=110.0))
    books.record_fills("XAUUSD", [fill_of(entry, 3, market_ms=at(10))])
    move(books, 105.0, minute=11)
    assert differences(engine) == []


def test_stop_that_fills_after_it_was_moved_is_booked_under_the_entrys_stop(books: SqlLedger, engine: Engine) -> None:
    entry = opened(books)
    move(books, 95.0)
    stop = replace(
        fill_of(entry, 2, price=95.0, market_ms=at(4)),
        client_order_id=protective_order_id(entry.client_order_id, Leg.STOP_LOSS),
        leg=Leg.STOP_LOSS,
        side=Side.SELL,
    )
    books.record_fills("XAUUSD", [stop])

    assert not position(books).is_open
    assert view_of(books).open_risk == 0.0
    assert differences(engine) == []


def test_moves_asked_for_at_once_are_one(books: SqlLedger) -> None:
    opened(books)
    with ThreadPoolExecutor(4) as threads:
        moves = list(threads.map(lambda price: move(books, price), [94.0, 95.0, 96.0, 97.0]))

    assert len(set(moves)) == 1
    assert books.stop_moves("XAUUSD") == moves[:1]
    assert moves[0] is not None
    assert position(books).stop_loss == moves[0].after


def test_backup_and_restore_keep_the_moves(books: SqlLedger, engine: Engine, tmp_path: Path) -> None:
    opened(books)
    moved = move(books, 95.0)
    copy = tmp_path / "copy.sqlite3"
    backup(engine, LEDGER, copy, lambda *_: None)
    empty = create_engine(f"sqlite:///{tmp_path}/restored.db")
    migrate(empty)
    restore(copy, empty, LEDGER, lambda *_: None)

    restored = SqlLedger(empty, "main", BALANCE)
    assert restored.stop_moves("XAUUSD") == [moved]
    assert position(restored).stop_loss == 95.0
    assert move(restored, 99.0) == moved
    empty.dispose()


def test_schema_goes_back_and_forth_and_keeps_the_moved_stop(books: SqlLedger, engine: Engine) -> None:
    opened(books)
    move(books, 95.0)
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    migrate(engine)

    assert position(books).stop_loss == 95.0
    assert books.stop_moves("XAUUSD") == []
    assert move(books, 96.0) is not None
