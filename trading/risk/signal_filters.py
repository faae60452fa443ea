"""Entry validation: filter signals before the risk rules. Exits are never rejected here."""

import math
from collections.abc import Callable

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from trading.errors import Rejected
from trading.formatting import format_price
from trading.indicators.regime import Regime
from trading.market.sessions import EntryHours, Session
from trading.market.timeframes import Timeframe
from trading.risk.verdict import Check
from trading.strategies.signal import Signal, SignalSide

_LONGEST_WAIT = 3
"""Candles within a day that an entry may wait for the market to open; later its price is out of date."""
_DAY_MS = 86_400_000


class EntryRules(BaseModel):
    """Requirements that an entry must meet before its risk is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_signal_age_s: float = Field(
        gt=0, description="Seconds after the close of the signal's candle until which it may be entered on."
    )
    allowed_regimes: frozenset[Regime] | None = Field(
        default=None, min_length=1, description="Regimes in which entries are allowed; absent: all regimes."
    )
    session: Session = Field(default=Session(), description="Trading hours of the market.")
    entry_hours: EntryHours | None = Field(
        default=None, description="Hours in which entries are allowed, within the trading hours; absent: all."
    )


def refusal(
    signal: Signal, rules: EntryRules, *, timeframe: str, as_of_ms: int, regime: Regime = Regime.UNKNOWN
) -> Rejected | None:
    """Return the reason to reject a signal, or None if it may pass.

    Args:
        signal: A close signal always passes, because it ends a risk.
        as_of_ms: Market time at which the source answered, milliseconds since the epoch, UTC.
        regime: Regime at the candle of the signal.
    """
    if signal.side is SignalSide.CLOSE:
        return None
    entry = _entry_of(signal, rules, timeframe, as_of_ms, regime)
    return next((refused for rule in ENTRY_RULES if (refused := rule.refused(entry)) is not None), None)


def checks(
    signal: Signal, rules: EntryRules, *, timeframe: str, as_of_ms: int, regime: Regime = Regime.UNKNOWN
) -> list[Check]:
    """Check every rule, where `refusal` stops at the first rejection; a close signal has no checks."""
    if signal.side is SignalSide.CLOSE:
        return []
    entry = _entry_of(signal, rules, timeframe, as_of_ms, regime)
    return [_check(rule, entry) for rule in ENTRY_RULES]


def _entry_of(signal: Signal, rules: EntryRules, timeframe: str, as_of_ms: int, regime: Regime) -> "_Entry":
    most_s = max(rules.max_signal_age_s, _longest_wait_s(timeframe))
    return _Entry(signal, rules, signal.decided_ms(timeframe), as_of_ms, regime, most_s)


def _longest_wait_s(timeframe: str) -> float:
    """Return how long an entry may wait for the opening; the next day is the next candle, also after holidays."""
    length_ms = Timeframe.parse(timeframe).length_ms
    return math.inf if length_ms >= _DAY_MS else _LONGEST_WAIT * length_ms / 1000


def _check(rule: "EntryRule", entry: "_Entry") -> Check:
    refused = rule.refused(entry)
    if refused is not None:
        return Check(refused.rule, is_met=False, reason=refused.reason)
    return Check(rule.name, is_met=True, reason=rule.met(entry))


class _Entry(Struct, frozen=True):
    """An entry signal with the values that the rules need.

    Attributes:
        closed_ms: Close time of its candle, milliseconds since the epoch, UTC.
        most_wait_s: Longest time in seconds that its order may wait for the market to open; infinity for no limit.
    """

    signal: Signal
    rules: EntryRules
    closed_ms: int
    as_of_ms: int
    regime: Regime
    most_wait_s: float

    @property
    def fills_ms(self) -> int:
        """The first time at which its order could fill: the next opening, where the candle ends in closed hours.

        Raises:
            Rejected: The calendar does not cover that time.
        """
        return self.rules.session.next_open(self.closed_ms)

    @property
    def age_s(self) -> float:
        return (self.as_of_ms - self.closed_ms) / 1000


class EntryRule(Struct, frozen=True):
    """One rule of an entry.

    Attributes:
        name: Name of its check if it is met; a rejection names the problem found, e.g. `target_side`.
        refused: Return the rejection, or None.
        met: Describe why the rule is met.
    """

    name: str
    refused: Callable[[_Entry], Rejected | None]
    met: Callable[[_Entry], str]


def _too_old(entry: _Entry) -> Rejected | None:
    most_s = entry.rules.max_signal_age_s
    return None if entry.age_s <= most_s else Rejected("max_signal_age", _age(entry))


def _age(entry: _Entry) -> str:
    return f"the candle closed {entry.age_s:g} s ago, the limit is {entry.rules.max_signal_age_s:g} s"


def _wrong_prices(entry: _Entry) -> Rejected | None:
    signal = entry.signal
    stop, target, price = signal.stop_loss, signal.take_profit, signal.price
    sign = 1 if signal.side is SignalSide.BUY else -1
    if price <= 0:
        why = "an entry at it has no value by which it could be sized and limited"
        return Rejected("price_not_positive", f"the price {format_price(price)} is not above zero: {why}")
    if stop is not None and stop == price:
        return Rejected("stop_distance", f"the stop {format_price(stop)} is at the price itself")
    if stop is not None and (price - stop) * sign < 0:
        where = f"the stop {format_price(stop)} of a {signal.side} is {_side(sign)} the price {format_price(price)}"
        return Rejected("stop_side", where)
    if target is not None and (target - price) * sign <= 0:
        where = (
            f"the target {format_price(target)} of a {signal.side} is not {_side(sign)} the price {format_price(price)}"
        )
        return Rejected("target_side", where)
    return None


def _prices(entry: _Entry) -> str:
    signal = entry.signal
    price, stop, target = (format_price(one) for one in (signal.price, signal.stop_loss, signal.take_profit))
    return f"{signal.side} at {price}, stop {stop}, target {target}"


def _side(sign: int) -> str:
    return "above" if sign > 0 else "below"


def _closed_market(entry: _Entry) -> Rejected | None:
    try:
        wait_s = (entry.fills_ms - entry.closed_ms) / 1000
    except Rejected as unknown:
        return unknown
    if wait_s <= entry.most_wait_s:
        return None
    hours = entry.rules.session.hours
    return Rejected("session", f"the market is closed when the candle ends ({entry.closed_ms} ms); open are {hours}")


def _session(entry: _Entry) -> str:
    wait_s = (entry.fills_ms - entry.closed_ms) / 1000
    limit = f", the limit is {entry.most_wait_s:g} s" if entry.most_wait_s < math.inf else ""
    state = f"opens {wait_s:g} s after the candle{limit}" if wait_s else "is open"
    return f"the market {state}; trading hours: {entry.rules.session.hours}"


def _outside_hours(entry: _Entry) -> Rejected | None:
    hours = entry.rules.entry_hours
    if hours is None or hours.holds(entry.fills_ms):
        return None
    return Rejected(
        "entry_hours", f"the candle ends outside of the hours of entries ({entry.fills_ms} ms): {hours.description}"
    )


def _hours(entry: _Entry) -> str:
    hours = entry.rules.entry_hours
    if hours is None:
        return "entries are allowed at all trading hours"
    return f"the candle ends within the entry hours: {hours.description}"


def _wrong_regime(entry: _Entry) -> Rejected | None:
    regime, allowed = entry.regime, entry.rules.allowed_regimes
    if allowed is None or regime in allowed:
        return None
    return Rejected("regime", f"the market is {regime}, entries are allowed when it is {' or '.join(sorted(allowed))}")


def _regime(entry: _Entry) -> str:
    allowed = entry.rules.allowed_regimes
    return f"the market is {entry.regime}, entries are allowed in: {', '.join(sorted(allowed)) if allowed else 'any'}"


ENTRY_RULES = (
    EntryRule("max_signal_age", _too_old, _age),
    EntryRule("stop_side", _wrong_prices, _prices),
    EntryRule("session", _closed_market, _session),
    EntryRule("entry_hours", _outside_hours, _hours),
    EntryRule("regime", _wrong_regime, _regime),
)
"""The rules in the order of their checks: a live run stops at the first rejection, `explain` shows all of them."""
