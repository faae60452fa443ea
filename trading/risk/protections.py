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
        candle_ms: Length of that candle.
        whose: The only symbol whose trades count; None if the trades of all symbols count.
    """

    symbol: str
    side: Side
    open_ms: int
    candle_ms: int
    whose: str | None = None


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

    def stop_ms(self, candle_ms: int) -> int:
        return _length_ms(self.stop_duration_candles, self.stop_duration, candle_ms)


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
        stop_ms = self.stop_ms(request.candle_ms)
        trades = _known(request, trades_since, request.open_ms - stop_ms, request.symbol)
        if not trades:
            return True, f"no exit of {request.symbol} within {_format(stop_ms, request)}"
        left_ms = trades[-1].closed_ms + stop_ms - request.open_ms
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

    def lookback_ms(self, candle_ms: int) -> int:
        return _length_ms(self.lookback_period_candles, self.lookback_period, candle_ms)

    def evaluated(self, request: EntryRequest, trades_since: TradesSince) -> tuple[bool, str]:
        """Return whether an entry passes, and the reason.

        Each exit is a moment at which the stop could begin, so the answer depends on the trades alone.
        """
        stop_ms, back_ms = self.stop_ms(request.candle_ms), self.lookback_ms(request.candle_ms)
        whose = self.whose(request)
        trades = _known(request, trades_since, request.open_ms - stop_ms - back_ms, whose)
        counted = [one for one in trades if self.counts(one, request)]
        for at in range(len(counted) - 1, -1, -1):
            last = counted[at]
            if request.open_ms >= last.closed_ms + stop_ms:
                break
            seen = [one for one in counted[: at + 1] if one.closed_ms > last.closed_ms - back_ms]
            if len(seen) >= self.trade_limit and self.triggers(seen):
                left_ms = last.closed_ms + stop_ms - request.open_ms
                found = f"{self.describe(seen)} of {whose or 'all symbols'} within {_format(back_ms, request)}"
                ago, left = _ago(last, request), _format(left_ms, request)
                return False, f"{found}, the last {ago}: no entry for {left} yet"
        recent = [one for one in counted if one.closed_ms > request.open_ms - back_ms]
        of_whom, period = whose or "all symbols", _format(back_ms, request)
        return True, f"{self.describe(recent)} of {of_whom} within {period}, {self.bound}"

    def whose(self, request: EntryRequest) -> str | None:
        return request.whose

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

    def whose(self, request: EntryRequest) -> str | None:
        return request.symbol if self.only_per_pair else request.whose

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

    def whose(self, request: EntryRequest) -> str | None:
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


def when_known(trades_since: TradesSince, lengths_ms: Mapping[str, int], candle_ms: int) -> TradesSince:
    """Date trades in longer candles than the requesting symbol's by the close of such a candle.

    Only trades dated by their candle's open are changed; a time within a minute is that of the fill itself.

    Args:
        lengths_ms: Candle length by symbol.
        candle_ms: Candle length of the requesting symbol.
    """
    longest_ms = max(lengths_ms.values(), default=candle_ms) - candle_ms
    if longest_ms <= 0:
        return trades_since

    def since(since_ms: int, symbol: str | None) -> Sequence[ClosedTrade]:
        dated = (known(one) for one in trades_since(since_ms - longest_ms, symbol))
        return [one for one in dated if one.closed_ms > since_ms]

    def known(trade: ClosedTrade) -> ClosedTrade:
        later_ms = lengths_ms.get(trade.symbol, candle_ms) - candle_ms
        if later_ms <= 0 or trade.closed_ms % _MINUTE_MS:
            return trade
        return replace(trade, closed_ms=trade.closed_ms + later_ms)

    return since


def _known(request: EntryRequest, trades_since: TradesSince, since_ms: int, symbol: str | None) -> list[ClosedTrade]:
    """Return the trades closed after `since_ms` and not after the requesting candle."""
    return in_order(
        [one for one in trades_since(since_ms, symbol) if one.closed_ms < request.open_ms + request.candle_ms]
    )


def _profit(trades: Sequence[ClosedTrade]) -> float:
    return sum(one.profit_ratio for one in trades)


def _fallen(trades: Sequence[ClosedTrade]) -> float:
    sums = list(accumulate((one.profit_ratio for one in trades), initial=0.0))
    return max((high - now for high, now in zip(accumulate(sums, max), sums, strict=True)), default=0.0)


def _length_ms(candles: int | None, minutes: int | None, candle_ms: int) -> int:
    return candles * candle_ms if candles is not None else (minutes or 0) * _MINUTE_MS


def _format(length_ms: int, request: EntryRequest) -> str:
    candles = length_ms / request.candle_ms
    return f"{candles:g} candle{'' if candles == 1 else 's'}"


def _ago(trade: ClosedTrade, request: EntryRequest) -> str:
    ago_ms = request.open_ms - trade.closed_ms
    return f"{_format(ago_ms, request)} ago" if ago_ms > 0 else "in this candle"
