"""Signals, positions and accounts for the tests of the risk decision."""

from trading.lifecycle import DesiredState
from trading.portfolio.positions import Position
from trading.risk.rules import AccountLimits, RiskLimits, evaluate_signal
from trading.risk.verdict import AccountSnapshot, RiskDecision
from trading.strategies.signal import Refusal, Signal, SignalSide

OPEN_MS = 1_774_360_800_000
FLAT = Position("XAUUSD", "ema")
VIEW = AccountSnapshot(
    DesiredState.RUNNING, FLAT, has_unsettled=False, open_positions=0, open_risk=0.0, day_realised=0.0, balance=10_000.0
)
FREE = AccountLimits(name="main", starting_balance=10_000)
FIXED = RiskLimits(units=1.0)


def signal(
    side: SignalSide = SignalSide.BUY,
    stop_loss: float | None = 95.0,
    size_units: float | None = None,
    entry_refused: Refusal | None = None,
) -> Signal:
    return Signal(
        strategy="ema",
        open_ms=OPEN_MS,
        side=side,
        price=100.0,
        stop_loss=stop_loss,
        take_profit=None if side is SignalSide.CLOSE else 115.0,
        size_units=size_units,
        reason="EMA 20 crossed above EMA 50",
        entry_refused=entry_refused,
    )


def verdict_of(
    one: Signal | None = None, view: AccountSnapshot = VIEW, limits: RiskLimits = FIXED, account: AccountLimits = FREE
) -> RiskDecision:
    return evaluate_signal(view, one or signal(), symbol="XAUUSD", timeframe="1m", account=account, limits=limits)
