"""Stops that move, in the ledger in SQL: its invariants, races, backups and older schemas."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.engine import Engine

from adapters.backup.backup import LEDGER, backup
from adapters.backup.restore import restore
from adapters.backup.snapshot import snapshot
from adapters.database import create_engine
from adapters.ledger.audit.invariants import check_rules
from adapters.ledger.audit.recompute import Difference, recompute
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import alembic_config, migrate
from adapters.ledger.tables import positions, stop_moves
from trading.orders.orders import Leg, Side, protective_order_id
from trading.portfolio.positions import StopMove
from trading.ports.ledger import Ledger
from trading.structs import replace
from trading_orchestrator.testing.contracts.ledger.examples import (
    BALANCE,
    at,
    closed,
    enter,
    fill_of,
    opened,
    position_of,
    request_of,
    view_of,
)

pytest_plugins = ("tests.fixtures.servers.databases",)


@pytest.fixture
def books(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


RULE = "trailing_stop"


def move(ledger: Ledger, stop_loss: float, *, minute: int = 2, reason: str = "trailing") -> StopMove | None:
    cause = f"c{minute}"
    return ledger.move_stop("XAUUSD", "trend", at(minute), stop_loss, reason, correlation_id=cause, rule=RULE)


def differences(engine: Engine) -> Sequence[Difference]:
    with snapshot(engine) as connection:
        findings = recompute(connection, lambda _: None)
        check_rules(connection, findings, lambda _: None)
    return findings.differences


def test_fill_that_comes_after_a_later_one_is_folded_with_the_moved_stop(books: SqlLedger, engine: Engine) -> None:
    entry = request_of()
    enter(books, entry)
    books.record_fills("XAUUSD", [fill_of(entry, 2, units=1.5)])
    move(books, 95.0)
    books.record_fills("XAUUSD", [fill_of(entry, 1, units=0.5)])

    assert (position_of(books).units, position_of(books).stop_loss) == (2.0, 95.0)
    assert differences(engine) == []


def test_verify_holds_for_moves_and_reports_a_stop_that_none_explains(books: SqlLedger, engine: Engine) -> None:
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

    assert position_of(books).stop_loss == 88.0
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

    assert not position_of(books).is_open
    assert view_of(books).open_risk == 0.0
    assert differences(engine) == []


def test_moves_requested_at_once_are_one(books: SqlLedger) -> None:
    opened(books)
    with ThreadPoolExecutor(4) as threads:
        moves = list(threads.map(lambda price: move(books, price), [94.0, 95.0, 96.0, 97.0]))

    assert len(set(moves)) == 1
    assert books.stop_moves("XAUUSD") == moves[:1]
    assert moves[0] is not None
    assert position_of(books).stop_loss == moves[0].after


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
    assert position_of(restored).stop_loss == 95.0
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

    assert position_of(books).stop_loss == 95.0
    assert books.stop_moves("XAUUSD") == []
    assert move(books, 96.0) is not None
