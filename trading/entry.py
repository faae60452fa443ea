"""Entry validation: which signals may go on to the risk rules. Exits are never refused here."""

from pydantic import BaseModel, ConfigDict, Field

from trading.candles import timeframe_ms
from trading.errors import Rejected
from trading.events import Regime, Signal, SignalSide
from trading.prices import shown
from trading.risk import Check
from trading.session import EntryHours, Session


class EntryRules(BaseModel):
    """What an entry must fulfil before its risk is looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_signal_age_s: float = Field(
        gt=0, description="Seconds from the close of the signal's candle after which it is too old to enter on."
    )
    allowed_regimes: frozenset[Regime] | None = Field(
        default=None, min_length=1, description="Regimes in which entries are allowed; all of them if absent."
    )
    session: Session = Field(default=Session(), description="Hours in which the market is open.")
    entry_hours: EntryHours | None = Field(
        default=None, description="Hours in which entries are allowed on top of that; all of them if absent."
    )


def refusal(
    signal: Signal, rules: EntryRules, *, timeframe: str, as_of_ms: int, regime: Regime = Regime.UNKNOWN
) -> Rejected | None:
    """Return why a signal must not be followed, None when it may be.

    Args:
        signal: One that asks to close is never refused: it ends a risk.
        as_of_ms: Market time at which the source answered, milliseconds since the epoch, UTC.
        regime: At the candle of the signal.
    """
    if signal.side is SignalSide.CLOSE:
        return None
    closed_ms = signal.open_ms + timeframe_ms(timeframe)
    return (
        _too_old(closed_ms, as_of_ms, rules.max_signal_age_s)
        or _wrong_prices(signal)
        or _closed_market(closed_ms, rules.session)
        or _outside_hours(closed_ms, rules.entry_hours)
        or _wrong_regime(regime, rules.allowed_regimes)
    )


def checks(
    signal: Signal, rules: EntryRules, *, timeframe: str, as_of_ms: int, regime: Regime = Regime.UNKNOWN
) -> list[Check]:
    """Ask every rule, as `refusal` does up to the first that is against it; none for a signal that asks to close."""
    if signal.side is SignalSide.CLOSE:
        return []
    closed_ms = signal.open_ms + timeframe_ms(timeframe)
    stop, target = (shown(price) for price in (signal.stop_loss, signal.take_profit))
    allowed = " or ".join(sorted(rules.allowed_regimes)) if rules.allowed_regimes else "any"
    age_s = (as_of_ms - closed_ms) / 1000
    asked = (
        (
            "max_signal_age",
            _too_old(closed_ms, as_of_ms, rules.max_signal_age_s),
            f"the candle closed {age_s:g} s ago, allowed are {rules.max_signal_age_s:g} s",
        ),
        ("stop_side", _wrong_prices(signal), f"{signal.side} at {shown(signal.price)}, stop {stop}, target {target}"),
        ("session", _closed_market(closed_ms, rules.session), f"the market is open; it is {rules.session.hours}"),
        ("regime", _wrong_regime(regime, rules.allowed_regimes), f"the market is {regime}, allowed is {allowed}"),
    )
    return [
        Check(refused.rule, is_met=False, reason=refused.reason) if refused else Check(name, is_met=True, reason=met)
        for name, refused, met in asked
    ]


def _too_old(closed_ms: int, as_of_ms: int, max_age_s: float) -> Rejected | None:
    age_s = (as_of_ms - closed_ms) / 1000
    if age_s <= max_age_s:
        return None
    return Rejected("max_signal_age", f"the candle closed {age_s:g} s ago, allowed are {max_age_s:g} s")


def _wrong_prices(signal: Signal) -> Rejected | None:
    stop, target, price = signal.stop_loss, signal.take_profit, signal.price
    sign = 1 if signal.side is SignalSide.BUY else -1
    if stop is not None and stop == price:
        return Rejected("stop_distance", f"the stop {shown(stop)} is at the price itself")
    if stop is not None and (price - stop) * sign < 0:
        where = f"the stop {shown(stop)} of a {signal.side} is {_side(sign)} the price {shown(price)}"
        return Rejected("stop_side", where)
    if target is not None and (target - price) * sign <= 0:
        where = f"the target {shown(target)} of a {signal.side} is not {_side(sign)} the price {shown(price)}"
        return Rejected("target_side", where)
    return None


def _side(sign: int) -> str:
    return "above" if sign > 0 else "below"


def _closed_market(closed_ms: int, session: Session) -> Rejected | None:
    try:
        is_open = session.is_open(closed_ms)
    except Rejected as unknown:
        return unknown
    if is_open:
        return None
    return Rejected("session", f"the market is closed when the candle ends ({closed_ms} ms); open are {session.hours}")


def _outside_hours(closed_ms: int, hours: EntryHours | None) -> Rejected | None:
    if hours is None or hours.holds(closed_ms):
        return None
    return Rejected("entry_hours", f"the candle ends outside of the hours of entries ({closed_ms} ms): {hours.told}")


def _wrong_regime(regime: Regime, allowed: frozenset[Regime] | None) -> Rejected | None:
    if allowed is None or regime in allowed:
        return None
    return Rejected("regime", f"the market is {regime}, entries are allowed when it is {' or '.join(sorted(allowed))}")
