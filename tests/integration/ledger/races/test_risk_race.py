"""Processes race for the room of one symbol, and into a drawdown: neither is passed, on both databases.

`TRADING_TEST_RACE_TRIES=2000` makes it longer.
"""

import itertools
import multiprocessing
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest
import sqlalchemy as sa

from adapters.database import create_engine, read_only
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import migrate
from trading.lifecycle import DesiredState
from trading.orders.orders import Fill, Leg, OrderRequest, protective_order_id
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.rules import evaluate_signal
from trading.strategies.signal import Signal, SignalSide

pytest_plugins = ("tests.fixtures.servers.databases",)
pytestmark = pytest.mark.long

RACERS = 3
TRIES = int(os.environ.get("TRADING_TEST_RACE_TRIES", "60")) // RACERS
MINUTE_MS = 60_000
T0_MS = 20_000 * 86_400_000
BALANCE = 10_000.0
MOST = 450.0
"""Of one symbol, whose entries are worth 100: room for four."""
LIMITS = RiskLimits(units=1.0, max_notional=MOST)
ACCOUNT = AccountLimits(name="main", starting_balance=BALANCE, max_drawdown=0.02)

_HELD = sa.text("""
    SELECT (SELECT coalesce(sum(abs(units) * average_price), 0.0) FROM positions WHERE symbol = :symbol)
        + (SELECT coalesce(sum((units - filled_units) * reference_price), 0.0) FROM intents
            WHERE symbol = :symbol AND leg = 'entry' AND NOT is_final)
""")


_AT_THE_START = sa.text("SELECT count(*) FROM symbols")
MEETING_LIMIT_S = 60.0


class Racer:
    """Buys one unit at 100 again and again, and ends it at a stop."""

    def __init__(self, url: str, number: int) -> None:
        self.engine = create_engine(url)
        self.ledger = SqlLedger(self.engine, "main", BALANCE)
        self.chance = random.Random(number)
        self._sequence = itertools.count(number + 1, RACERS)
        self.ledger.set_desired(f"racer-{number}", DesiredState.RUNNING, reason="at the start")
        self._wait_for_all()

    def _wait_for_all(self) -> None:
        until_s = time.monotonic() + MEETING_LIMIT_S
        while True:
            with read_only(self.engine).connect() as connection:
                if connection.execute(_AT_THE_START).scalar_one() == RACERS:
                    return
            assert time.monotonic() < until_s, "the others did not come"
            time.sleep(0.01)

    def enter(self, symbol: str, strategy: str, minute: int) -> tuple[str, OrderRequest | None]:
        """Ask for an entry, and return the rule that decided and the order."""
        signal = Signal(
            strategy=strategy,
            open_ms=T0_MS + minute * MINUTE_MS,
            side=SignalSide.BUY,
            price=100.0,
            stop_loss=99.0,
            reason="the race wills it",
        )
        decided = self.ledger.decide(
            symbol,
            strategy,
            signal.open_ms,
            lambda view: evaluate_signal(view, signal, symbol=symbol, timeframe="1m", account=ACCOUNT, limits=LIMITS),
            correlation_id="race",
        )
        assert decided.verdict is not None
        return decided.verdict.rule, decided.intents[0].request if decided.intents else None

    def fill(self, request: OrderRequest, leg: Leg, price: float) -> None:
        number = next(self._sequence)
        is_entry = leg is Leg.ENTRY
        identity = request.client_order_id if is_entry else protective_order_id(request.client_order_id, leg)
        side = request.side if is_entry else request.side.opposite
        fill = Fill(number, f"f{number}", identity, request.symbol, request.strategy, leg, side, 1.0, price, 0.0, T0_MS)
        self.ledger.record_fills(request.symbol, [fill])


def race_for_room(url: str, number: int) -> list[str]:
    """Enter one symbol with several strategies, keep two positions or three, and look at the rows after each entry."""
    racer = Racer(url, number)
    rules, kept = [], list[OrderRequest]()
    for minute in range(TRIES):
        rule, request = racer.enter("XAUUSD", f"s{number}-{minute}", minute)
        rules.append(rule)
        with read_only(racer.engine).connect() as connection:
            held = connection.execute(_HELD, {"symbol": "XAUUSD"}).scalar_one()
        assert held <= MOST, f"{held} are open or on their way"
        if request is not None:
            racer.fill(request, Leg.ENTRY, 100.0)
            kept.append(request)
        if len(kept) > racer.chance.randint(1, 2):
            racer.fill(kept.pop(0), Leg.STOP_LOSS, 99.99)
    racer.engine.dispose()
    return rules


def race_into_drawdown(url: str, number: int) -> list[str]:
    """Lose a little with each entry, by a gap below its stop, until nothing may enter any more."""
    racer = Racer(url, number)
    rules = []
    for minute in range(TRIES):
        rule, request = racer.enter(f"S{number}", "trend", minute)
        rules.append(rule)
        if request is not None:
            racer.fill(request, Leg.ENTRY, 100.0)
            racer.fill(request, Leg.STOP_LOSS, 100.0 - racer.chance.randint(5, 15))
    racer.engine.dispose()
    return rules


def raced(race: Callable[[str, int], list[str]], url: str) -> list[list[str]]:
    with ProcessPoolExecutor(RACERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(race, itertools.repeat(url), range(RACERS)))


@pytest.fixture
def url(database_url: str) -> str:
    engine = create_engine(database_url)
    migrate(engine)
    engine.dispose()
    return database_url


def test_processes_racing_for_the_room_of_a_symbol_never_exceed_it(url: str) -> None:
    rules = raced(race_for_room, url)
    assert sum("ok" in one for one in rules) >= 2
    assert any("max_symbol_notional" in one for one in rules)  # who is refused is up to the machine
    assert {rule for one in rules for rule in one} <= {"ok", "unsettled", "max_symbol_notional"}


def test_processes_racing_into_a_drawdown_all_stop_at_one_decision(url: str) -> None:
    rules = raced(race_into_drawdown, url)
    engine = create_engine(url)
    ledger = SqlLedger(engine, "main", BALANCE)
    (incident,) = ledger.incidents()
    rows = ledger.decisions(limit=TRIES * RACERS)[::-1]
    first = next(at for at, row in enumerate(rows) if row["rule"] == "drawdown_latch")
    assert incident["kind"] == "max_drawdown"
    assert {row["rule"] for row in rows[:first]} == {"ok"}
    assert {row["rule"] for row in rows[first:]} == {"drawdown_latch"}
    assert sum("ok" in one for one in rules) >= 2
    assert ledger.balance() <= BALANCE * 0.98
    engine.dispose()
