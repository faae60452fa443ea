"""The queries of one candle return as much of it as the whole ledger has."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.engine import Engine

from adapters.database import create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.queries.candle_history import CandleBooks, decided_within, read_candle_books
from adapters.ledger.queries.recorded_rows import Row, read_recorded_books
from adapters.ledger.rows import fill_of, request_of_intent
from adapters.ledger.schema import migrate
from adapters.wiring.explain_context import terms_of
from tests.fakes import system_config
from tests.fixtures.trades import ACCOUNT, MINUTE_MS, STRATEGY, SYMBOLS, T0_MS, TRADES, play, request_of
from trading.backtest.explanation import (
    CandleRecord,
    Explanation,
    OrderOutcome,
    RiskDecisionRecord,
    decisions_of,
    explain,
)
from trading.events.journal import Entry
from trading.market.candles import Candles
from trading.orders.orders import Fill, Leg, OrderState, Side
from trading.risk.verdict import AccountSnapshot, PlannedOrder, RiskDecision

pytest_plugins = ("tests.fixtures.servers.databases",)

pytestmark = pytest.mark.timeout(120)

SYSTEM = system_config({"name": "sma_cross"})
TERMS = terms_of(next(iter(SYSTEM.symbols)), SYSTEM)[0]


@pytest.fixture(scope="module")
def engine(shared_database_url: str) -> Iterator[Engine]:
    """A ledger with long and short trades, filled in parts and in the wrong order, closed by exits and by stops."""
    engine = create_engine(shared_database_url)
    migrate(engine)
    turn(play(engine))
    yield engine
    engine.dispose()


def turn(ledger: SqlLedger) -> None:
    """Open a position, turn it round with one decision, and close it."""
    sides = {T0_MS: Side.BUY, T0_MS + MINUTE_MS: Side.SELL, T0_MS + 2 * MINUTE_MS: Side.BUY}
    legs = ((Leg.ENTRY,), (Leg.EXIT, Leg.ENTRY), (Leg.EXIT,))
    sequences = itertools.count(10_000)
    for (open_ms, side), expected_leg in zip(sides.items(), legs, strict=True):
        orders = [request_of("XAUUSD", "turn", open_ms, leg, side, 0.7) for leg in expected_leg]
        verdict = RiskDecision("ok", "all rules agree", tuple(PlannedOrder(one) for one in orders))
        ledger.decide("XAUUSD", "turn", open_ms, saying(verdict), correlation_id=f"turn-{open_ms}")
        for one in orders:
            place = next(sequences)
            fill = Fill(
                place,
                f"f{place}",
                one.client_order_id,
                one.symbol,
                one.strategy,
                one.leg,
                one.side,
                one.units,
                100.0,
                0.1,
                one.decided_ms,
            )
            ledger.record_fills("XAUUSD", [fill])


def saying(verdict: RiskDecision) -> Callable[[AccountSnapshot], RiskDecision]:
    return lambda _view: verdict


def books_of(engine: Engine, decision: Row) -> CandleBooks:
    first_ms, cause = decision["open_ms"], decision["correlation_id"]
    last_ms = first_ms + MINUTE_MS - 1
    return read_candle_books(engine, ACCOUNT, decision["symbol"], first_ms, last_ms, correlation_id=cause)


def explained(books: CandleBooks, decision: Row) -> Explanation:
    entry = Entry(
        decision["open_ms"], decisions_of(decision["rule"], decision["reason"]), "ranging", decision["correlation_id"]
    )
    return explain(
        CandleRecord(
            decision["symbol"],
            "1m",
            entry,
            Candles.empty(),
            RiskDecisionRecord(decision["outcome"], decision["rule"], decision["reason"]),
            [row["client_order_id"] for row in books.intents if row["decision_id"] == decision["id"]],
            [
                OrderOutcome(request_of_intent(row), OrderState(row["state"]), row["filled_units"])
                for row in books.intents
            ],
            [fill_of(row) for row in books.fills],
        ),
        TERMS,
    )


def test_each_candle_is_explained_as_out_of_the_whole_ledger(engine: Engine) -> None:
    whole = read_recorded_books(engine, ACCOUNT)
    everything = {
        symbol: CandleBooks(
            *(
                [row for row in part if row["symbol"] == symbol]
                for part in (whole.decisions, whole.intents, whole.fills)
            )
        )
        for symbol in SYMBOLS
    }
    for decision in whole.decisions:
        found = explained(books_of(engine, decision), decision)

        assert found == explained(everything[decision["symbol"]], decision)
    assert sum(row["outcome"] == "accepted" for row in whole.decisions) > TRADES


def test_one_trade_is_read_of_many(engine: Engine) -> None:
    closed = [row for row in read_recorded_books(engine, ACCOUNT).decisions if row["strategy"] == STRATEGY]

    for decision in closed:
        found = books_of(engine, decision)

        assert [row["id"] for row in found.decisions] == [decision["id"]]
        assert 2 <= len(found.fills) <= 3  # an entry in two parts at most, and what closed it
        assert len(found.intents) <= 2


def test_candle_without_a_decision_reads_nothing(engine: Engine) -> None:
    between = {"symbol": SYMBOLS[0], "open_ms": T0_MS + 5 * MINUTE_MS, "correlation_id": "none"}

    assert books_of(engine, between) == CandleBooks([], [], [])


def test_candle_of_another_correlation_is_left_out(engine: Engine) -> None:
    decision = read_recorded_books(engine, ACCOUNT).decisions[0]

    assert books_of(engine, {**decision, "correlation_id": "another"}) == CandleBooks([], [], [])


def test_decisions_of_signals_are_found_by_the_time_of_their_candle(engine: Engine) -> None:
    decision = next(row for row in read_recorded_books(engine, ACCOUNT).decisions if row["strategy"] == STRATEGY)
    at_ms = decision["open_ms"]

    assert [row["id"] for row in decided_within(engine, ACCOUNT, decision["symbol"], at_ms, at_ms)] == [decision["id"]]
    assert decided_within(engine, ACCOUNT, decision["symbol"], at_ms + 1, at_ms + MINUTE_MS) == []
