"""Decisions on signals of one account, for the tests of the bounds of a position."""

from typing import Any

from trading.lifecycle import DesiredState
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import Leg
from trading.portfolio.positions import Position
from trading.risk.limits import AccountLimits, RiskLimits
from trading.risk.open_book import OpenBook
from trading.risk.rules import evaluate_signal
from trading.risk.verdict import AccountSnapshot, Check, RiskDecision
from trading.strategies.signal import Signal, SignalSide
from trading.structs import replace

BALANCE = 100_000.0
COSTS = FillTerms(spread=0.20, slippage=0.05)
VIEW = AccountSnapshot(
    DesiredState.RUNNING,
    Position("XAUUSD", "ema"),
    has_unsettled=False,
    open_positions=0,
    open_risk=0.0,
    day_realised=0.0,
    balance=BALANCE,
    peak_balance=BALANCE,
)


def signal_of(side: SignalSide = SignalSide.BUY, price: float = 2650.0, **changes: Any) -> Signal:
    return Signal(strategy="ema", open_ms=60_000, side=side, price=price, reason="crossed", **changes)


def account_of(**limits: Any) -> AccountLimits:
    return AccountLimits(name="main", starting_balance=BALANCE, **limits)


def decided(
    signal: Signal,
    view: AccountSnapshot = VIEW,
    account: AccountLimits | None = None,
    terms: FillTerms = COSTS,
    **limits: Any,
) -> RiskDecision:
    return evaluate_signal(
        view,
        signal,
        symbol="XAUUSD",
        timeframe="1m",
        account=account or account_of(),
        limits=RiskLimits.model_validate({"units": 1.0, **limits}),
        terms=terms,
    )


def units_of(decision: RiskDecision) -> float:
    (entry,) = [one.request for one in decision.planned if one.request.leg is Leg.ENTRY]
    return entry.units


def check_of(decision: RiskDecision, rule: str) -> Check:
    (found,) = [one for one in decision.checks if one.rule == rule]
    return found


def holding(*books: OpenBook, **changes: Any) -> AccountSnapshot:
    """Return a view with open books; the position is that of the signal's own book."""
    own = next((one for one in books if (one.symbol, one.strategy) == ("XAUUSD", "ema")), None)
    position = VIEW.position
    if own is not None and own.units:
        position = Position("XAUUSD", "ema", own.units, own.average_price, stop_loss=own.stop_loss)
    return replace(VIEW, position=position, books=books, open_positions=len(books), **changes)
