"""Protections: temporary stops of a symbol's entries after an exit, or after losses.

Names, keys and meaning are those of freqtrade. All time is market time: a trade counts as closed at the open time of
the candle in which it was filled, and an entry as requested at the open time of its signal's candle. A stop of two
candles therefore rejects the signals of two candles, including the one with the exit. A trade in a longer candle than
the requesting symbol's counts as closed with the last shorter candle within it: before that its result was unknown.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Literal, Self

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading.market.timeframes import Timeframe
from trading.orders.orders import Side
from trading.portfolio.trades import ClosedTrade, TradesSince, in_order
from trading.structs import replace
from trading.tolerance import FRACTION_TOLERANCE

_MINUTE_MS = 60_000
_Count = Annotated[int, Field(strict=True, ge=1)]


class EntryRequest(Struct, frozen=True):
    """An entry that protections check.

    Attributes:
        open_ms: Open time of its signal's candle, milliseconds since the epoch, UTC.
        timeframe: Of that candle.
        counted_symbol: The only symbol whose trades count; None if the trades of all symbols count.
    """

    symbol: str
    side: Side
    open_ms: int
    timeframe: Timeframe
    counted_symbol: str | None = None


class _Span(Struct, frozen=True):
    """A duration in candles, or in minutes of market time."""

    candles: int | None
    minutes: int | None

    def before(self, ms: int, timeframe: Timeframe) -> int:
        """Return the time so long before another one."""
        return ms - (self.minutes or 0) * _MINUTE_MS if self.candles is None else timeframe.shifted(ms, -self.candles)


class _Protection(BaseModel):
    """Fields of all protections; times are in candles of the symbol, or in minutes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    stop_duration_candles: _Count | None = Field(
        default=None, description="Candles of the symbol without entries, including the candle of the exit."
    )
    stop_duration: _Count | None = Field(
        default=None, description="The same in minutes of market time; set only one of the two."
    )

    @model_validator(mode="after")
    def _has_one_unit(self) -> Self:
        self._one_of("stop_duration_candles", "stop_duration")
        return self

    def _one_of(self, candles: str, minutes: str) -> None:
        given = [name for name in (candles, minutes) if getattr(self, name) is not None]
        if len(given) != 1:
            found = "both are given" if given else "neither is given"
            raise ValueError(f"{found}: give {candles}, or {minutes} in minutes")

    @property
    def is_limit(self) -> bool:
        """Whether it limits losses, so that its rejection is a breach."""
        return True

    def stopped_since_ms(self, request: EntryRequest) -> int:
        """Return the time after which an exit still stops the entry."""
        return _Span(self.stop_duration_candles, self.stop_duration).before(request.open_ms, request.timeframe)


class CooldownPeriod(_Protection):
    """Stop entries of a symbol for a while after its own exit."""

    method: Literal["CooldownPeriod"] = Field(description="CooldownPeriod: after an exit of the symbol.")

    @property
    def rule(self) -> str:
        return "cooldown_period"

    @property
    def is_limit(self) -> bool:
        return False

    def evaluated(self, request: EntryRequest, trades_since: TradesSince) -> tuple[bool, str]:
        """Return whether an entry passes, and the reason."""
        since_ms = self.stopped_since_ms(request)
        trades = _known(request, trades_since, since_ms, request.symbol)
        if not trades:
            return True, f"no exit of {request.symbol} within {_format(request.open_ms - since_ms, request)}"
        left_ms = trades[-1].closed_ms - since_ms
        ago, left = _ago(trades[-1], request), _format(left_ms, request)
        return False, f"{request.symbol} was closed {ago}: no entry for {left} yet"


class _LookingBack(_Protection, ABC):
    """Fields and evaluation of protections that count closed trades in a period."""

    lookback_period_candles: _Count | None = Field(
        default=None, description="Look-back in candles of the symbol; trades closed in it count."
    )
    lookback_period: _Count | None = Field(
        default=None, description="The same in minutes of market time; set only one of the two."
    )
    trade_limit: _Count = Field(default=1, description="Minimum number of trades.")

    @model_validator(mode="after")
    def _has_one_unit_of_both(self) -> Self:
        self._one_of("lookback_period_candles", "lookback_period")
        return self

    @property
    def lookback(self) -> _Span:
        return _Span(self.lookback_period_candles, self.lookback_period)

    def evaluated(self, request: EntryRequest, trades_since: TradesSince) -> tuple[bool, str]:
        """Return whether an entry passes, and the reason.

        Each exit is a moment at which the stop could begin, so the answer depends on the trades alone.
        """
        since_ms, lookback, grid = self.stopped_since_ms(request), self.lookback, request.timeframe
        counted_symbol, recent_ms = self.counted_symbol(request), lookback.before(request.open_ms, grid)
        period = _format(request.open_ms - recent_ms, request)
        trades = _known(request, trades_since, lookback.before(since_ms, grid), counted_symbol)
        counted = [one for one in trades if self.counts(one, request)]
        for at in range(len(counted) - 1, -1, -1):
            last = counted[at]
            if last.closed_ms <= since_ms:
                break
            first_ms = lookback.before(last.closed_ms, grid)
            seen = [one for one in counted[: at + 1] if one.closed_ms > first_ms]
            if len(seen) >= self.trade_limit and self.triggers(seen):
                left_ms = last.closed_ms - since_ms
                found = f"{self.describe(seen)} of {counted_symbol or 'all symbols'} within {period}"
                ago, left = _ago(last, request), _format(left_ms, request)
                return False, f"{found}, the last {ago}: no entry for {left} yet"
        recent = [one for one in counted if one.closed_ms > recent_ms]
        return True, f"{self.describe(recent)} of {counted_symbol or 'all symbols'} within {period}, {self.bound}"

    def counted_symbol(self, request: EntryRequest) -> str | None:
        return request.counted_symbol

    def counts(self, trade: ClosedTrade, request: EntryRequest) -> bool:
        return True

    @abstractmethod
    def triggers(self, seen: Sequence[ClosedTrade]) -> bool:
        """Return whether a sufficient number of trades of one look-back stops entries."""

    @abstractmethod
    def describe(self, seen: Sequence[ClosedTrade]) -> str:
        """Describe the result of the trades."""

    @property
    @abstractmethod
    def bound(self) -> str:
        """The limit, formatted for messages."""


class StoplossGuard(_LookingBack):
    """Stop entries for a while after a number of stop losses, of all symbols or of this one."""

    method: Literal["StoplossGuard"] = Field(description="StoplossGuard: after a number of stop losses.")
    trade_limit: _Count = Field(default=10, description="Number of stop losses.")
    only_per_pair: bool = Field(
        default=False, description="Count only the symbol's own; always so in a symbol's own list."
    )
    only_per_side: bool = Field(default=False, description="Count only trades of the entry's side, long or short.")
    required_profit: float = Field(
        default=0.0, description="Count stop losses with a profit below this fraction of their cost."
    )

    @property
    def rule(self) -> str:
        return "stoploss_guard"

    @property
    def bound(self) -> str:
        return f"the limit is {self.trade_limit}"

    def counted_symbol(self, request: EntryRequest) -> str | None:
        return request.symbol if self.only_per_pair else request.counted_symbol

    def counts(self, trade: ClosedTrade, request: EntryRequest) -> bool:
        is_counted = trade.is_stopped and trade.profit_ratio < self.required_profit
        return is_counted and (not self.only_per_side or trade.side is request.side)

    def triggers(self, seen: Sequence[ClosedTrade]) -> bool:
        return True

    def describe(self, seen: Sequence[ClosedTrade]) -> str:
        return f"{len(seen)} stop losses"


class LowProfitPairs(_LookingBack):
    """Stop entries of a symbol for a while after trades with too little total profit."""

    method: Literal["LowProfitPairs"] = Field(description="LowProfitPairs: after trades of the symbol without profit.")
    required_profit: float = Field(
        default=0.0, description="Required sum of the trades' profits, each as a fraction of its cost."
    )
    only_per_side: bool = Field(default=False, description="Count only trades of the entry's side, long or short.")

    @property
    def rule(self) -> str:
        return "low_profit_pairs"

    @property
    def bound(self) -> str:
        return f"at least {self.required_profit:.2%} are required after {self.trade_limit}"

    def counted_symbol(self, request: EntryRequest) -> str | None:
        return request.symbol

    def counts(self, trade: ClosedTrade, request: EntryRequest) -> bool:
        return not self.only_per_side or trade.side is request.side

    def triggers(self, seen: Sequence[ClosedTrade]) -> bool:
        return _profit(seen) < self.required_profit - FRACTION_TOLERANCE

    def describe(self, seen: Sequence[ClosedTrade]) -> str:
        return f"{_profit(seen):+.2%} with {len(seen)} trades"


class MaxDrawdown(_LookingBack):
    """Stop entries for a while after trades whose summed profits fell too far from their peak."""

    method: Literal["MaxDrawdown"] = Field(description="MaxDrawdown: after a large drawdown of the trades' profits.")
    max_allowed_drawdown: float = Field(
        default=0.0,
        ge=0,
        description="Largest fall of the summed profits from their peak, each as a fraction of its cost.",
    )

    @property
    def rule(self) -> str:
        return "max_drawdown_protection"

    @property
    def bound(self) -> str:
        return f"the limit is {self.max_allowed_drawdown:.2%} after {self.trade_limit}"

    def triggers(self, seen: Sequence[ClosedTrade]) -> bool:
        return _fallen(seen) > self.max_allowed_drawdown + FRACTION_TOLERANCE

    def describe(self, seen: Sequence[ClosedTrade]) -> str:
        return f"a fall by {_fallen(seen):.2%} in {len(seen)} trades"


Protection = Annotated[CooldownPeriod | StoplossGuard | LowProfitPairs | MaxDrawdown, Field(discriminator="method")]


def when_known(trades_since: TradesSince, timeframes: Mapping[str, Timeframe], own: Timeframe) -> TradesSince:
    """Date trades in longer candles than the requesting symbol's by the close of such a candle.

    Only trades dated by their candle's open are changed; a time within a minute is that of the fill itself.

    Args:
        timeframes: By symbol.
        own: Of the requesting symbol.
    """
    longest_ms = max((one.longest_ms for one in timeframes.values()), default=own.longest_ms) - own.length_ms
    if longest_ms <= 0:
        return trades_since

    def since(since_ms: int, symbol: str | None) -> Sequence[ClosedTrade]:
        dated = (known(one) for one in trades_since(since_ms - longest_ms, symbol))
        return [one for one in dated if one.closed_ms > since_ms]

    def known(trade: ClosedTrade) -> ClosedTrade:
        timeframe = timeframes.get(trade.symbol, own)
        if timeframe.length_ms <= own.length_ms or trade.closed_ms % _MINUTE_MS:
            return trade
        return replace(trade, closed_ms=timeframe.close_of(trade.closed_ms) - own.length_ms)

    return since


def _known(request: EntryRequest, trades_since: TradesSince, since_ms: int, symbol: str | None) -> list[ClosedTrade]:
    """Return the trades closed after `since_ms` and not after the requesting candle."""
    closes_ms = request.timeframe.close_of(request.open_ms)
    return in_order([one for one in trades_since(since_ms, symbol) if one.closed_ms < closes_ms])


def _profit(trades: Sequence[ClosedTrade]) -> float:
    return sum(one.profit_ratio for one in trades)


def _fallen(trades: Sequence[ClosedTrade]) -> float:
    sums = list(accumulate((one.profit_ratio for one in trades), initial=0.0))
    return max((high - now for high, now in zip(accumulate(sums, max), sums, strict=True)), default=0.0)


def _format(length_ms: int, request: EntryRequest) -> str:
    candles = length_ms / request.timeframe.length_ms
    if not request.timeframe.is_fixed:
        candles = round(candles)
    return f"{candles:g} candle{'' if candles == 1 else 's'}"


def _ago(trade: ClosedTrade, request: EntryRequest) -> str:
    ago_ms = request.open_ms - trade.closed_ms
    return f"{_format(ago_ms, request)} ago" if ago_ms > 0 else "in this candle"
