"""Results of a backtest: trades, orders, fills, decisions, and the account's equity at each candle.

Times are milliseconds since the epoch, UTC; prices and money are in quote currency, units in the base asset.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.currencies import DEFAULT_CURRENCY
from trading.events.decisions import Decisions
from trading.execution.fill_booking import Booked
from trading.formatting import MONEY_DECIMALS
from trading.market.candles import CLOSE, Candles
from trading.market.trading_days import UTC_DAY, TradingDay
from trading.orders.orders import Fill, Leg, OrderRequest, OrderState, Side
from trading.portfolio.positions import Position

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

END = "end"
"""Exit reason of a position that was closed because the candles ended."""

_REASONS = {Leg.STOP_LOSS: "stop_loss", Leg.TAKE_PROFIT: "take_profit", Leg.EXIT: "signal", Leg.ENTRY: "reversal"}


class Decision(Struct, frozen=True):
    """The decision on one signal.

    Attributes:
        open_ms: Open time of the signal's candle; the decision was at its close.
        side: Action that the strategy requested: buy, sell or close.
        price: Close of that candle.
        outcome: `accepted` (orders were planned), `refused`, or `dry`.
        rule: The rule that rejected; `ok` if all accepted. An accepted exit may name the rule that rejected its entry.
        reason: Explanation, with the values compared.
        said: The strategy's reason.
        checks: Each checked rule, with its result.
    """

    symbol: str
    strategy: str
    open_ms: int
    side: str
    price: float
    outcome: str
    rule: str
    reason: str
    said: str
    checks: Sequence[Mapping[str, Any]] = ()


class Order(Struct, frozen=True):
    """One order and its final state.

    Attributes:
        units: Ordered units; for a protective order the units that it was placed for.
        price: Price of a stop or a target; for a market order the close of the decided candle.
        decided_ms: Close of the decided candle; for a protective order the market time at which it was placed.
    """

    client_order_id: str
    symbol: str
    strategy: str
    leg: Leg
    side: Side
    units: float
    price: float
    decided_ms: int
    state: OrderState
    filled_units: float
    stop_loss: float | None = None
    take_profit: float | None = None


class Trade(Struct, frozen=True):
    """A position from flat to flat.

    Attributes:
        side: BUY for a long position.
        units: Largest open size, positive.
        entry_ms: Market time of the first fill: the open time of its candle, or the last millisecond of the decided
            candle if orders fill at its close.
        entry_price: Average price of the opened units, after spread and slippage.
        exit_ms: Market time of the last fill; None while it is open.
        exit_price: Average price of the closed units; None while it is open.
        fees: Fees of all its fills.
        profit: Realised profit, after fees; open units do not count.
        exit_reason: `stop_loss`, `take_profit`, `signal`, `reversal` or `end`, or the exit rule that requested it or
            had moved the stop that was hit, such as `trailing_stop`; None while it is open.
        entry_order_id: `client_order_id` of the order that opened it.
        exit_order_id: `client_order_id` of the order that closed it.
        stop_loss: Original stop; None for none.
        take_profit: Original target; None for none.
    """

    symbol: str
    strategy: str
    side: Side
    units: float
    entry_ms: int
    entry_price: float
    exit_ms: int | None
    exit_price: float | None
    fees: float
    profit: float
    exit_reason: str | None
    entry_order_id: str
    exit_order_id: str | None = None
    stop_loss: float | None = None
    take_profit: float | None = None


class Equity(Struct, frozen=True, eq=False):
    """The account at the close of each candle of any symbol; arrays of equal length.

    Attributes:
        close_ms: int64: close time of the candle, strictly ascending.
        balance: float64: starting balance plus realised profit, after fees.
        equity: float64: `balance` plus the profit of closing at the last closes, before fees.
        exposure: float64: value of the open positions at the last closes, long and short added.
    """

    close_ms: Times
    balance: Floats
    equity: Floats
    exposure: Floats


class Journal(Struct, frozen=True, eq=False):
    """Decisions on each candle of one symbol, oldest first; all of equal length.

    Attributes:
        open_ms: int64: open time of the candle.
        decisions: Decisions on the candle, as in the live journal; `trading.events.decisions.describe` formats them.
        regimes: Market regime, as in the live journal.
    """

    open_ms: Times
    decisions: Sequence[Decisions]
    regimes: Sequence[str]


@dataclass(frozen=True, eq=False)
class BacktestRun:
    """The complete result of a backtest; orders and decisions are assembled on first use.

    Attributes:
        account: Name of the account.
        starting_balance: Balance before the first order.
        candles: The decided candles by symbol.
        timeframes: Timeframe by symbol.
        fills: Fills in market-time order, numbered in that order.
        trades: Trades in the order of their last fill; those still open at the end come last.
        positions: Positions at the end, including flat ones.
        equity: The account's equity.
        journals: Journal by symbol.
        day: Day of the account, of its daily returns.
        currency: Currency of the account and of all amounts.
        money_decimals: Decimals of money in that currency.
    """

    account: str
    starting_balance: float
    candles: Mapping[str, Candles]
    timeframes: Mapping[str, str]
    fills: Sequence[Fill]
    trades: Sequence[Trade]
    positions: Sequence[Position]
    equity: Equity
    journals: Mapping[str, Journal]
    list_orders: Callable[[], Sequence[Order]] = field(repr=False)
    list_decisions: Callable[[], Sequence[Decision]] = field(repr=False)
    day: TradingDay = UTC_DAY
    currency: str = DEFAULT_CURRENCY
    money_decimals: int = MONEY_DECIMALS

    @cached_property
    def orders(self) -> Sequence[Order]:
        """Return all orders, including protective ones, oldest first."""
        return self.list_orders()

    @cached_property
    def decisions(self) -> Sequence[Decision]:
        """Return the decision on each signal, oldest first."""
        return self.list_decisions()


def trades_of(
    booked: Iterable[Booked],
    requests: Iterable[OrderRequest],
    *,
    at_end: frozenset[str] = frozenset(),
    rules: Mapping[str, str] = MappingProxyType({}),
) -> list[Trade]:
    """Combine fills into trades.

    Args:
        booked: Each fill with the position before and after it, in sequence order.
        requests: The decided orders; they determine stops, and exits followed by a new entry.
        at_end: Ids of orders that closed a position because the candles ended.
        rules: Exit rule by order id; orders without one get a reason by their leg.
    """
    by_id = {request.client_order_id: request for request in requests}
    entered = {(one.symbol, one.strategy, one.decided_ms) for one in by_id.values() if one.leg is Leg.ENTRY}
    open_trades: dict[tuple[str, str], _OpenTrade] = {}
    done: list[Trade] = []
    for fill, before, after in booked:
        key = (fill.symbol, fill.strategy)
        order = by_id.get(fill.client_order_id)
        is_over = before.is_open and after.units * before.units <= 0
        if is_over:
            is_reversal = order is not None and (*key, order.decided_ms) in entered
            usual = END if fill.client_order_id in at_end else _reason(fill.leg, is_reversal=is_reversal)
            reason = rules.get(fill.client_order_id, usual)
            done.append(open_trades.pop(key).closed(fill, before, after, reason))
        if after.is_open and (is_over or not before.is_open):
            open_trades[key] = _OpenTrade(fill, order, before.realised, abs(after.units))
        elif after.is_open:
            open_trades[key].add(fill, before, after)
    return [*done, *(trade.snapshot() for trade in open_trades.values())]


def _reason(leg: Leg, *, is_reversal: bool) -> str:
    return _REASONS[Leg.ENTRY if leg is Leg.EXIT and is_reversal else leg]


class _OpenTrade:
    """A trade that is not closed yet."""

    def __init__(self, first: Fill, order: OrderRequest | None, realised_before: float, units: float) -> None:
        self._first = first
        self._order = order
        self._realised_before = realised_before
        self._realised = realised_before - first.fee
        self._fees = first.fee
        self._most = units
        self._opened = (units, units * first.price)
        self._closed = (0.0, 0.0)

    def add(self, fill: Fill, before: Position, after: Position) -> None:
        """Add a fill that neither opens nor closes the position."""
        if abs(after.units) > abs(before.units):
            self._opened = _and(self._opened, fill.units, fill.price)
            self._most = abs(after.units)
        else:
            self._closed = _and(self._closed, fill.units, fill.price)
        self._fees += fill.fee
        self._realised = after.realised

    def closed(self, last: Fill, before: Position, after: Position, reason: str) -> Trade:
        """Add the closing fill; any excess belongs to a new position in the other direction."""
        units, value = _and(self._closed, abs(before.units), last.price)
        price = value / units if self._closed[0] else last.price
        fees, profit = self._fees + last.fee, after.realised - self._realised_before
        return self._trade(fees, profit, last.market_ms, price, reason, last.client_order_id)

    def snapshot(self) -> Trade:
        """Return the trade in its present, open state."""
        return self._trade(self._fees, self._realised - self._realised_before, None, None, None, None)

    def _trade(
        self,
        fees: float,
        profit: float,
        exit_ms: int | None,
        exit_price: float | None,
        reason: str | None,
        exit_id: str | None,
    ) -> Trade:
        first, order = self._first, self._order
        units, value = self._opened
        return Trade(
            first.symbol,
            first.strategy,
            first.side,
            self._most,
            first.market_ms,
            first.price if units == self._most else value / units,
            exit_ms,
            exit_price,
            fees,
            profit,
            reason,
            first.client_order_id,
            exit_id,
            order.stop_loss if order else None,
            order.take_profit if order else None,
        )


def _and(sums: tuple[float, float], units: float, price: float) -> tuple[float, float]:
    return sums[0] + units, sums[1] + units * price


def equity_of(
    starting_balance: float,
    candles: Mapping[str, Candles],
    closes: Mapping[str, Times],
    booked: Sequence[Booked],
) -> Equity:
    """Value the account at the close of each candle.

    Args:
        candles: Candles by symbol.
        closes: The end of each candle by symbol.
        booked: Each fill with the position before and after it, in sequence order.
    """
    close_ms = next(iter(closes.values()))
    for more in closes.values():
        close_ms = close_ms if np.array_equal(close_ms, more) else np.union1d(close_ms, more)
    balance = np.full(len(close_ms), starting_balance)
    equity, exposure = balance.copy(), np.zeros(len(close_ms))
    books: dict[tuple[str, str], list[tuple[int, float, float, float]]] = {}
    for fill, _, now in booked:
        row = (fill.market_ms, now.units, now.average_price, now.realised)
        books.setdefault((fill.symbol, fill.strategy), [(-1, 0.0, 0.0, 0.0)]).append(row)
    for (symbol, _), rows in books.items():
        table = np.array(rows)
        units, average, realised = table[table[:, 0].searchsorted(close_ms, side="left") - 1, 1:].T
        last = closes[symbol].searchsorted(close_ms, side="right") - 1
        price = candles[symbol].values[np.maximum(last, 0), CLOSE]
        balance += realised
        equity += realised + units * (price - average)
        exposure += np.abs(units) * price
    return Equity(close_ms, balance, equity, exposure)
