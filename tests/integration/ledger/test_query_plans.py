"""Queries of each candle and each decision read by an index that ends at their symbol, however long the history is."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.queries.trades import TRADES_SINCE, trades_since
from adapters.ledger.tables import fills, positions
from adapters.ledger.transaction import AccountDatabase
from tests.fixtures.trades import ACCOUNT, BALANCE, STRATEGY, SYMBOLS, T0_MS, judge_entry, play
from trading.orders.orders import Leg, Side

pytest_plugins = ("tests.fixtures.servers.databases",)

GROWING = ("decisions", "intents", "orders", "fills", "stop_moves")
"""Tables with rows of the whole history."""
FILLS, HELD = 10_000, 50
OF_ACCOUNT = re.compile(
    rf"SCAN ({'|'.join(GROWING)})\b|SEARCH ({'|'.join(GROWING)}) .*(?<!ix_intents_live )\(account=\?\)"
)
"""A read of all rows of an account; the partial index of live orders has a few."""


def read_all(ledger: SqlLedger) -> None:
    """Call what the services and the decisions of a candle read."""
    symbol, at_ms = SYMBOLS[0], T0_MS + 10**9
    order_ids = [row["client_order_id"] for row in ledger.orders(symbol, limit=3)]
    ledger.decide(symbol, STRATEGY, at_ms, judge_entry(symbol, STRATEGY, at_ms), correlation_id="plan")
    ledger.permissions(symbol)
    ledger.positions()
    ledger.unsettled(symbol)
    ledger.fills_from(symbol)
    ledger.overfilled(symbol)
    ledger.owners(symbol)
    ledger.order_states(order_ids)
    ledger.order_strategies(order_ids)
    ledger.stop_moves(symbol)
    ledger.stop_move(symbol, STRATEGY, at_ms)
    ledger.decisions_since(symbol, [STRATEGY], at_ms)
    ledger.incidents_of(symbol)
    ledger.unpublished(symbol)
    ledger.desired(symbol)
    ledger.quarantine(symbol)
    ledger.fence(symbol)
    ledger.fences()
    ledger.has_exposure(symbol)
    ledger.exposure(symbol)
    ledger.balance()


def plans(engine: Engine, ledger: SqlLedger) -> dict[str, list[str]]:
    """Return the query plan of each statement of `read_all` on SQLite."""
    statements: dict[str, Any] = {}

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            statements.setdefault(statement, parameters)

    sa.event.listen(engine, "before_cursor_execute", note)
    read_all(ledger)
    with AccountDatabase(engine, ACCOUNT, BALANCE).reader() as reader:
        trades_since(reader, T0_MS, None)
        trades_since(reader, T0_MS, SYMBOLS[0])
    sa.event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        return {
            statement: [
                str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            ]
            for statement, parameters in statements.items()
        }


def trade_often(engine: Engine) -> None:
    """Write the fills of `HELD` symbols, and the flat positions that they made."""
    symbols = [f"S{number}" for number in range(HELD)]
    written = [fill_row(number, symbols[number // 2 % HELD]) for number in range(FILLS)]
    flat = {"units": 0.0, "average_price": 0.0, "opened_ms": 0, "realised": 1.0, "stop_loss": None, "take_profit": None}
    held = [{"account": ACCOUNT, "symbol": symbol, "strategy": STRATEGY, **flat} for symbol in symbols]
    with engine.begin() as connection:
        connection.execute(sa.insert(fills), written)
        connection.execute(sa.insert(positions), held)


def fill_row(number: int, symbol: str) -> dict[str, Any]:
    leg, side = (Leg.EXIT, Side.SELL) if number % 2 else (Leg.ENTRY, Side.BUY)
    return {
        "account": ACCOUNT,
        "fill_id": f"f{number}",
        "sequence": number,
        "client_order_id": f"{symbol}-{number}",
        "symbol": symbol,
        "strategy": STRATEGY,
        "leg": leg.value,
        "side": side.value,
        "units": 1.0,
        "price": 100.0,
        "fee": 0.0,
        "market_ms": T0_MS + number,
        "realised": float(number % 2),
        "adjustment": 0,
    }


def test_trades_since_on_postgresql_reads_the_fills_of_each_position_by_the_index(postgres_ledger_url: str) -> None:
    engine = create_engine(postgres_ledger_url)
    trade_often(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
        since = TRADES_SINCE["postgresql"].params(account=ACCOUNT, since_ms=T0_MS + FILLS - 100)
        text = str(since.compile(engine, compile_kwargs={"literal_binds": True}))
        lines = "\n".join(connection.exec_driver_sql(f"EXPLAIN {text}").scalars())
    engine.dispose()

    assert "Seq Scan on fills" not in lines
    assert lines.count("using ix_fills_symbol on fills") == 3


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_reads_of_a_candle_scan_no_table_that_grows(engine: Engine) -> None:
    found = plans(engine, play(engine))

    assert len(found) > 15
    scans = {statement: [line for line in plan if OF_ACCOUNT.search(line)] for statement, plan in found.items()}
    assert {statement: lines for statement, lines in scans.items() if lines} == {}
