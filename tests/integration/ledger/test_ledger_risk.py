"""The ledger's inputs of the risk rules: the same from SQL and from memory; a drawdown stays until it is cleared."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from adapters.backup.snapshot import snapshot
from adapters.ledger.audit.recompute import recompute
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.memory import MemoryLedger
from adapters.ledger.tables import accounts, decisions
from trading.orders.intents import OrderUpdate
from trading.orders.orders import Fill, Leg, OrderRequest, OrderState, protective_order_id
from trading.portfolio.trades import ClosedTrade, in_order
from trading.ports.ledger import DecisionResult
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.protections import CooldownPeriod, StoplossGuard
from trading.risk.rules import evaluate_signal
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace

pytest_plugins = ("tests.fixtures.servers.databases",)

MINUTE_MS = 60_000
T0_MS = 20_000 * 86_400_000
BALANCE = 10_000.0
SYMBOLS = ("XAUUSD", "BTCUSD", "EURUSD")
STRATEGY = "trend"
LIMITS = RiskLimits(units=1.0, max_notional=400.0)
ACCOUNT = AccountLimits(
    name="main",
    starting_balance=BALANCE,
    max_open_positions=2,
    max_daily_loss=60.0,
    max_drawdown=0.02,
    protections=(
        CooldownPeriod(method="CooldownPeriod", stop_duration_candles=1),
        StoplossGuard(method="StoplossGuard", lookback_period_candles=40, trade_limit=3, stop_duration_candles=10),
    ),
)
AnyLedger = SqlLedger | MemoryLedger


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    return SqlLedger(engine, "main", BALANCE)


def signal_of(minute: int, side: SignalSide, price: float = 100.0, stop: float = 5.0) -> Signal:
    sign = -1 if side is SignalSide.SELL else 1
    is_close = side is SignalSide.CLOSE
    return Signal(
        strategy=STRATEGY,
        open_ms=T0_MS + minute * MINUTE_MS,
        side=side,
        price=price,
        stop_loss=None if is_close else price - sign * stop,
        take_profit=None if is_close else price + sign * 2 * stop,
        reason="the test wills it",
    )


class Trader:
    """Decides by the real rules on one ledger, and fills at once what it is told to."""

    def __init__(self, ledger: AnyLedger, account: AccountLimits = ACCOUNT) -> None:
        self.ledger = ledger
        self.account = account
        self.views: list[tuple[AccountSnapshot, Sequence[ClosedTrade]]] = []
        self.entries: dict[str, OrderRequest] = {}
        self._number = 0

    def decide(self, symbol: str, signal: Signal) -> DecisionResult:
        def by_the_rules(view: AccountSnapshot) -> RiskDecision:
            since_ms = signal.open_ms - 50 * MINUTE_MS
            trades = in_order([*view.trades_since(since_ms, None)])
            own = in_order([*view.trades_since(since_ms, symbol)])
            assert own == [one for one in trades if one.symbol == symbol]
            self.views.append((view, trades))
            return evaluate_signal(view, signal, symbol=symbol, timeframe="1m", account=self.account, limits=LIMITS)

        prices = {**dict.fromkeys(("XAUUSD", "BTCUSD", "EURUSD"), 100.0), symbol: signal.price}
        return self.ledger.decide(symbol, STRATEGY, signal.open_ms, by_the_rules, correlation_id="test", prices=prices)

    def fill(self, request: OrderRequest, price: float, *, leg: Leg | None = None, units: float | None = None) -> None:
        leg = leg or request.leg
        self._number += 1
        is_protective = leg is not request.leg
        identity = protective_order_id(request.client_order_id, leg) if is_protective else request.client_order_id
        side = request.side.opposite if is_protective else request.side
        if leg is Leg.ENTRY:
            self.entries[request.symbol] = request
        self.ledger.record_fills(
            request.symbol,
            [
                Fill(
                    self._number,
                    f"fill-{self._number}",
                    identity,
                    request.symbol,
                    STRATEGY,
                    leg,
                    side,
                    units or request.units,
                    price,
                    0.25,
                    request.decided_ms,
                )
            ],
        )

    def send(self, decided: DecisionResult, price: float) -> None:
        """Fill all orders of a decision, one after the other."""
        for place, intent in enumerate(decided.intents):
            if place:
                assert self.ledger.mark(OrderUpdate(intent.request.client_order_id, OrderState.SUBMITTING, claims=1))
            self.fill(intent.request, price)

    def lose(self, symbol: str, minute: int, loss: float) -> DecisionResult:
        """Buy one unit at 100, and have its stop filled so that this much is lost before fees."""
        decided = self.decide(symbol, signal_of(minute, SignalSide.BUY))
        self.send(decided, 100.0)
        if decided.intents:
            stopped = replace(decided.intents[0].request, decided_ms=T0_MS + (minute + 1) * MINUTE_MS)
            self.fill(stopped, 100.0 - loss, leg=Leg.STOP_LOSS)
        return decided


def play(trader: Trader, seed: int, steps: int) -> list[tuple[str, str, tuple[Any, ...]]]:
    """Trade at random, the same for the same seed; return each verdict."""
    chance = random.Random(seed)
    verdicts = []
    for minute in range(steps):
        symbol = chance.choice(SYMBOLS)
        price = float(chance.randint(90, 110))
        if symbol in trader.entries and chance.random() < 0.4:
            entry = replace(trader.entries.pop(symbol), decided_ms=T0_MS + minute * MINUTE_MS)
            leg = chance.choice([Leg.STOP_LOSS, Leg.STOP_LOSS, Leg.TAKE_PROFIT])
            level = entry.stop_loss if leg is Leg.STOP_LOSS else entry.take_profit
            assert level is not None
            if chance.random() < 0.5:
                trader.fill(entry, level, leg=leg, units=0.5)
                trader.fill(replace(entry, decided_ms=entry.decided_ms + MINUTE_MS), level, leg=leg, units=0.5)
            else:
                trader.fill(entry, level, leg=leg)
            continue
        side = chance.choice([SignalSide.BUY, SignalSide.SELL, SignalSide.BUY, SignalSide.CLOSE])
        decided = trader.decide(symbol, signal_of(minute, side, price, float(chance.randint(2, 8))))
        assert decided.verdict is not None
        verdicts.append((decided.verdict.rule, decided.verdict.reason, decided.verdict.checks))
        if decided.intents:
            trader.entries.pop(symbol, None)
        trader.send(decided, price)
    return verdicts


@pytest.mark.parametrize("seed", [1, 2])
def test_both_ledgers_give_the_same_view_for_the_same_history(ledger: SqlLedger, engine: Engine, seed: int) -> None:
    sql, memory = Trader(ledger), Trader(MemoryLedger("main", BALANCE))
    assert play(sql, seed, 120) == play(memory, seed, 120)
    assert len(sql.views) == len(memory.views)
    for (view, trades), (other, others) in zip(sql.views, memory.views, strict=True):
        numbers = (
            "open_risk",
            "open_notional",
            "day_realised",
            "balance",
            "symbol_notional",
            "peak_balance",
            "drawdown",
        )
        for name in numbers:
            assert getattr(view, name) == pytest.approx(getattr(other, name), abs=1e-9), name
        rest: dict[str, Any] = dict.fromkeys(numbers, 0.0)
        assert replace(view, **rest) == replace(other, **rest)
        assert [(one.symbol, one.side, one.leg, one.closed_ms) for one in trades] == [
            (one.symbol, one.side, one.leg, one.closed_ms) for one in others
        ]
        for name in ("profit", "cost"):
            assert [getattr(one, name) for one in trades] == pytest.approx([getattr(one, name) for one in others])
    assert any(trades for _, trades in sql.views)
    rules = {row["rule"] for row in ledger.decisions(limit=200)}
    assert rules >= {"ok", "cooldown_period"}
    assert [row["checks"] for row in ledger.decisions(limit=200)[::-1]] == [
        row["checks"] for row in memory.ledger.decisions()
    ]
    with snapshot(engine) as connection:
        assert recompute(connection, lambda _: None).differences == []


# a drawdown


def latch(trader: Trader) -> DecisionResult:
    """Lose more than 2 % of 10,000 by gaps below the stops, and ask for another entry."""
    trader.lose("XAUUSD", 0, 120.0)
    trader.lose("BTCUSD", 100, 90.0)
    return trader.decide("EURUSD", signal_of(200, SignalSide.BUY))


FREE = ACCOUNT.model_copy(update={"protections": (), "max_daily_loss": None})


def test_a_drawdown_latches_all_symbols_until_a_person_resolves_it(ledger: SqlLedger, engine: Engine) -> None:
    trader = Trader(ledger, FREE)
    found = latch(trader)
    assert found.verdict is not None
    assert (found.verdict.rule, found.verdict.breached, found.intents) == ("drawdown_latch", True, ())
    (incident,) = ledger.incidents()
    assert (incident["kind"], incident["symbol"], incident["halts"]) == ("max_drawdown", "EURUSD", False)

    other = Trader(SqlLedger(engine, "main", BALANCE), ACCOUNT.model_copy(update={"max_drawdown": None}))
    refused = other.decide("XAUUSD", signal_of(300, SignalSide.BUY))  # another process, without the key
    assert refused.verdict is not None
    assert refused.verdict.rule == "drawdown_latch"
    assert len(ledger.incidents()) == 1
    stranger = Trader(SqlLedger(engine, "other", BALANCE), FREE)
    assert stranger.decide("XAUUSD", signal_of(300, SignalSide.BUY)).intents

    assert ledger.resolve_incident(incident["id"], "looked at it") is not None
    decided = trader.decide("BTCUSD", signal_of(400, SignalSide.BUY))
    assert decided.intents
    view = trader.views[-1][0]
    assert view.peak_balance == pytest.approx(BALANCE - 211.0)
    assert (view.drawdown, view.latched) == (0.0, None)


def test_a_fall_that_was_made_good_again_counts_all_the_same(ledger: SqlLedger) -> None:
    for trader in (Trader(ledger, FREE), Trader(MemoryLedger("main", BALANCE), FREE)):
        trader.lose("XAUUSD", 0, 250.0)
        entry = OrderRequest("later", "BTCUSD", STRATEGY, Leg.ENTRY, trader.entries["XAUUSD"].side, 1.0, 100.0, T0_MS)
        trader.fill(entry, 100.0)
        trader.fill(entry, 400.0, leg=Leg.TAKE_PROFIT)
        assert trader.ledger.balance() > BALANCE
        refused = trader.decide("EURUSD", signal_of(300, SignalSide.BUY))
        assert refused.verdict is not None
        assert refused.verdict.rule == "drawdown_latch"


def test_a_latched_account_exits_and_sends_no_entry_that_waited(ledger: SqlLedger) -> None:
    for trader in (Trader(ledger, FREE), Trader(MemoryLedger("main", BALANCE), FREE)):
        held = trader.decide("BTCUSD", signal_of(0, SignalSide.BUY))
        trader.send(held, 100.0)
        reversal = trader.decide("BTCUSD", signal_of(10, SignalSide.SELL))
        leaving, entering = reversal.intents
        trader.lose("XAUUSD", 20, 250.0)
        trader.decide("EURUSD", signal_of(200, SignalSide.BUY))  # finds it
        assert not trader.ledger.mark(OrderUpdate(entering.request.client_order_id, OrderState.SUBMITTING, claims=1))
        trader.ledger.mark(OrderUpdate(entering.request.client_order_id, OrderState.CANCELED))
        trader.fill(leaving.request, 101.0)
        assert [one.units for one in trader.ledger.positions() if one.symbol == "BTCUSD"] == [0.0]


def test_verify_finds_a_peak_below_what_was_realised(ledger: SqlLedger, engine: Engine) -> None:
    Trader(ledger, FREE).lose("XAUUSD", 0, -50.0)
    with engine.begin() as connection:
        connection.execute(sa.update(accounts).values(peak_realised=1.0))
    with snapshot(engine) as connection:
        (difference,) = recompute(connection, lambda _: None).differences
    assert (difference.check, difference.where, difference.found) == ("account: highest profit", "main", "1.0")


def test_decisions_of_before_there_were_checks_have_none(ledger: SqlLedger, engine: Engine) -> None:
    Trader(ledger).decide("XAUUSD", signal_of(0, SignalSide.BUY))
    assert ledger.decisions()[0]["checks"][0] == {"rule": "stopped", "is_met": True, "reason": "XAUUSD is running"}
    with engine.begin() as connection:
        connection.execute(sa.update(decisions).values(checks=None))
        assert connection.execute(sa.select(sa.func.count()).where(decisions.c.checks.is_(None))).scalar_one() == 1
    assert ledger.decisions()[0]["checks"] == []
