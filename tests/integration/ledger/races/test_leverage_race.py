"""Processes race for the leverage of one account, each with symbols of its own: it is never exceeded by one unit.

`TRADING_TEST_RACE_TRIES=2000` makes it longer.
"""

import itertools
import multiprocessing
import os
import random
from concurrent.futures import ProcessPoolExecutor

import sqlalchemy as sa

from adapters.database import create_engine, read_only
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import migrate
from trading.orders.orders import Fill, Leg, OrderRequest, protective_order_id
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.rules import evaluate_signal
from trading.strategies.signal import Signal, SignalSide

pytest_plugins = ("tests.fixtures.servers.databases",)

RACERS = 3
TRIES = int(os.environ.get("TRADING_TEST_RACE_TRIES", "90")) // RACERS
T0_MS, MINUTE_MS = 20_000 * 86_400_000, 60_000
BALANCE, PRICE = 10_000.0, 100.0
LEVERAGE = 0.1
"""A tenth of the equity: room for ten units at 100, less what the race loses."""
ACCOUNT = AccountLimits(name="main", starting_balance=BALANCE, max_leverage=LEVERAGE)
LIMITS = RiskLimits(units=1.0)
SYMBOLS = [f"R{number}-{lane}" for number in range(RACERS) for lane in range(3)]
PRICES = dict.fromkeys(SYMBOLS, PRICE)

_HELD = sa.text("""
    SELECT (SELECT coalesce(sum(abs(units)), 0.0) FROM positions)
        + (SELECT coalesce(sum(units - filled_units), 0.0) FROM intents WHERE leg = 'entry' AND NOT is_final),
        (SELECT coalesce(sum(realised), 0.0) FROM positions)
    """)


class Racer:
    """Buys and sells one to five units at 100 in three symbols of its own, and ends each position at a stop."""

    def __init__(self, url: str, number: int) -> None:
        self.engine = create_engine(url)
        self.ledger = SqlLedger(self.engine, "main", BALANCE)
        self.chance = random.Random(number)
        self.symbols = [symbol for symbol in SYMBOLS if symbol.startswith(f"R{number}-")]
        self._sequence = itertools.count(number + 1, RACERS)

    def enter(self, symbol: str, minute: int) -> tuple[str, OrderRequest | None]:
        side = self.chance.choice([SignalSide.BUY, SignalSide.SELL])
        signal = Signal(
            strategy="racing",
            open_ms=T0_MS + minute * MINUTE_MS,
            side=side,
            price=PRICE,
            stop_loss=99.0 if side is SignalSide.BUY else 101.0,
            size_units=float(self.chance.randint(1, 5)),
            reason="the race wills it",
        )
        decided = self.ledger.decide(
            symbol,
            "racing",
            signal.open_ms,
            lambda view: evaluate_signal(view, signal, symbol=symbol, timeframe="1m", account=ACCOUNT, limits=LIMITS),
            correlation_id="race",
            prices=PRICES,
        )
        assert decided.verdict is not None
        return decided.verdict.rule, decided.intents[0].request if decided.intents else None

    def held(self) -> tuple[float, float]:
        """Return (value of all that is open or on its way, profit realised), read from the rows."""
        with read_only(self.engine).connect() as connection:
            units, realised = connection.execute(_HELD).one()
        return units * PRICE, realised

    def fill(self, request: OrderRequest, leg: Leg, price: float) -> None:
        number = next(self._sequence)
        is_entry = leg is Leg.ENTRY
        identity = request.client_order_id if is_entry else protective_order_id(request.client_order_id, leg)
        side = request.side if is_entry else request.side.opposite
        fill = Fill(
            number, f"f{number}", identity, request.symbol, "racing", leg, side, request.units, price, 0.0, T0_MS
        )
        self.ledger.record_fills(request.symbol, [fill])


def race(url: str, number: int) -> list[str]:
    """Enter until nothing is left, end positions at random, and add up the rows after each accepted entry."""
    racer = Racer(url, number)
    rules: list[str] = []
    held: dict[str, OrderRequest] = {}
    for minute in range(TRIES):
        free = [symbol for symbol in racer.symbols if symbol not in held]
        if not free or racer.chance.random() < 0.3:
            for symbol in list(held)[:1]:
                request = held.pop(symbol)
                racer.fill(request, Leg.STOP_LOSS, PRICE - 0.01 * request.side.sign)
            continue
        rule, request_ = racer.enter(free[0], minute)
        rules.append(rule)
        if request_ is not None:
            value, realised = racer.held()
            assert value <= LEVERAGE * (BALANCE + max(0.0, realised)), f"{value} are open or on their way"
            racer.fill(request_, Leg.ENTRY, PRICE)
            held[free[0]] = request_
    racer.engine.dispose()
    return rules


def test_processes_racing_for_the_leverage_of_an_account_never_exceed_it(database_url: str) -> None:
    engine = create_engine(database_url)
    migrate(engine)
    engine.dispose()

    with ProcessPoolExecutor(RACERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        rules = list(pool.map(race, itertools.repeat(database_url), range(RACERS)))

    assert {rule for one in rules for rule in one} == {"ok", "max_leverage"}
    assert sum("ok" in one for one in rules) >= 2
