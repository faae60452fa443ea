"""Orders, fills and decisions that tests of a ledger work with: two units bought at 100, stop at 90, target at 120."""

from collections.abc import Callable

import pytest

from trading.orders.intents import Intent, OrderUpdate
from trading.orders.orders import Fill, Leg, OrderRequest, OrderState, Side, client_order_id, protective_order_id
from trading.portfolio.positions import Position
from trading.ports.ledger import DecisionResult, Ledger
from trading.risk.verdict import AccountSnapshot, PlannedOrder, RiskDecision

SignalEvaluator = Callable[[AccountSnapshot], RiskDecision]

DAY_MS = 86_400_000
T0_MS = 20_000 * DAY_MS
MINUTE_MS = 60_000
BALANCE = 10_000.0
SYMBOL, OTHER, UNKNOWN_SYMBOL = "XAUUSD", "BTCUSD", "EURUSD"
STRATEGY, SECOND = "trend", "reversal"
OK = RiskDecision("ok", "all rules agree")
REFUSED = RiskDecision("cooldown", "the last exit is 2 candles old, 5 are asked for")
FINAL = [OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED]
ENDED_EMPTY = [OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED]


def at(minute: int) -> int:
    """Return the open time of the candle so many minutes after the first one, in milliseconds."""
    return T0_MS + minute * MINUTE_MS


def request_of(
    symbol: str = SYMBOL,
    open_ms: int = T0_MS,
    *,
    account: str = "main",
    strategy: str = STRATEGY,
    leg: Leg = Leg.ENTRY,
    side: Side = Side.BUY,
    units: float = 2.0,
) -> OrderRequest:
    name = client_order_id(account, symbol, strategy, open_ms, leg)
    return OrderRequest(name, symbol, strategy, leg, side, units, 100.0, open_ms + MINUTE_MS, 90.0, 120.0)


def accept(*planned: PlannedOrder) -> SignalEvaluator:
    return lambda _view: RiskDecision(OK.rule, OK.reason, planned)


def plan(ledger: Ledger, open_ms: int, *planned: PlannedOrder) -> DecisionResult:
    """Record a decision with these orders, all of one symbol and strategy."""
    first = planned[0].request
    return ledger.decide(first.symbol, first.strategy, open_ms, accept(*planned), correlation_id=f"c{open_ms}")


def enter(ledger: Ledger, request: OrderRequest, *, risk: float = 20.0) -> Intent:
    """Record a decision with `request` alone, and return its intent."""
    (intent,) = plan(ledger, request.decided_ms - MINUTE_MS, PlannedOrder(request, risk)).intents
    return intent


def decide(
    ledger: Ledger, open_ms: int, verdict: RiskDecision = REFUSED, *, strategy: str = STRATEGY
) -> DecisionResult:
    """Record `verdict` for a candle of `SYMBOL`."""
    return ledger.decide(SYMBOL, strategy, open_ms, lambda _: verdict, correlation_id="c")


def view_of(ledger: Ledger, symbol: str = OTHER, *, strategy: str = "probe", open_ms: int = T0_MS) -> AccountSnapshot:
    """Return what a decision would see, without making one."""
    seen: list[AccountSnapshot] = []

    def look(view: AccountSnapshot) -> RiskDecision:
        seen.append(view)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ledger.decide(symbol, strategy, open_ms, look, correlation_id="probe")
    return seen[0]


def fill_of(
    request: OrderRequest,
    sequence: int = 1,
    *,
    units: float | None = None,
    price: float = 100.0,
    fee: float = 0.0,
    market_ms: int = T0_MS + MINUTE_MS,
) -> Fill:
    return Fill(
        sequence,
        f"fill-{sequence}",
        request.client_order_id,
        request.symbol,
        request.strategy,
        request.leg,
        request.side,
        units or request.units,
        price,
        fee,
        market_ms,
    )


def protective_fill(
    entry: OrderRequest,
    sequence: int = 2,
    *,
    leg: Leg = Leg.STOP_LOSS,
    units: float | None = None,
    price: float = 90.0,
    fee: float = 0.0,
    market_ms: int = T0_MS + 5 * MINUTE_MS,
) -> Fill:
    """Return a fill of the stop, or of the target, of an entry."""
    identity = protective_order_id(entry.client_order_id, leg)
    side, name = entry.side.opposite, f"fill-{sequence}"
    size = units or entry.units
    return Fill(sequence, name, identity, entry.symbol, entry.strategy, leg, side, size, price, fee, market_ms)


def opened(
    ledger: Ledger, request: OrderRequest | None = None, sequence: int = 1, *, risk: float = 20.0
) -> OrderRequest:
    """Enter and fill at 100, and return the entry."""
    entry = request or request_of()
    enter(ledger, entry, risk=risk)
    ledger.record_fills(entry.symbol, [fill_of(entry, sequence)])
    return entry


def closed(ledger: Ledger, *, minute: int = 5, sequence: int = 2) -> None:
    """Exit the two units of `opened` at 100."""
    leave = request_of(open_ms=at(minute), leg=Leg.EXIT, side=Side.SELL)
    plan(ledger, at(minute), PlannedOrder(leave))
    ledger.record_fills(SYMBOL, [fill_of(leave, sequence, market_ms=at(minute + 1))])


def reversal(ledger: Ledger, minute: int = 0) -> tuple[Intent, Intent]:
    """Plan an exit, and the entry the other way that waits for it."""
    leave = request_of(open_ms=at(minute), leg=Leg.EXIT, side=Side.SELL)
    turn = request_of(open_ms=at(minute), side=Side.SELL)
    first, second = plan(ledger, at(minute), PlannedOrder(leave), PlannedOrder(turn, 20.0)).intents
    return first, second


def claim(intent: Intent, number: int) -> OrderUpdate:
    """Return the mark that claims attempt `number` to send an order."""
    return OrderUpdate(intent.request.client_order_id, OrderState.SUBMITTING, claims=number)


def state_of(ledger: Ledger, request: OrderRequest) -> OrderState:
    return ledger.order_states([request.client_order_id])[request.client_order_id]


def position_of(ledger: Ledger, symbol: str = SYMBOL, strategy: str = STRATEGY) -> Position:
    """Return a position; a flat one where there was never a fill."""
    found = [one for one in ledger.positions() if (one.symbol, one.strategy) == (symbol, strategy)]
    return found[0] if found else Position(symbol, strategy)
