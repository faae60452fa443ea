"""backtesting.py, given the signals of our strategies: another engine with fill rules of its own."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from configs.loading import SystemConfig
from configs.plugins.strategies import load_strategy
from trading.backtest import BacktestRun
from trading.indicators import compute
from trading.market.candles import Candles
from trading.orders.fill_terms import FillTerms
from trading.strategies.signal import SignalSide

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a notebook
    from backtesting import Backtest
    from backtesting import Strategy as TheirStrategy

CASH = 1e9
"""So much that its margin never stands in the way: our limits are rules of the account, and are not given here."""

_CODES = {SignalSide.BUY: 1.0, SignalSide.SELL: -1.0, SignalSide.CLOSE: 2.0}


@dataclass(frozen=True, slots=True)
class Traded:
    """One closed trade, as both engines report it: times are open times of candles, in milliseconds since the epoch."""

    is_long: bool
    units: float
    entry_ms: int
    exit_ms: int
    entry_price: float
    exit_price: float
    profit: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """A strategy's signals at each candle; arrays of one length.

    Attributes:
        sides: 1.0 buy, -1.0 sell, 2.0 close, 0.0 nothing.
        stops: Prices; 0.0 for none, because it begins only after the first NaN of each array.
        targets: In the same way.
    """

    sides: NDArray[np.float64]
    stops: NDArray[np.float64]
    targets: NDArray[np.float64]


def spoken(system: SystemConfig, symbol: str, candles: Candles) -> Spoken:
    """Return what the symbol's strategy says, from our indicator columns, by the place of the candle."""
    [book], services = system.symbols[symbol].books.values(), system.services
    strategy = load_strategy(book.strategy, book.params)
    rows = compute(candles, strategy.indicators(), window=strategy.startup_candle_count, rows=len(candles))
    frame = rows.frame()
    sides, stops, targets = np.zeros((3, len(candles)))
    least_ms = rows.open_ms[services.strategy_evaluation.min_rows_required - 1]
    for signal in strategy.signals(frame).last(len(frame), rows=frame, strategy=book.name):
        at = int(candles.open_ms.searchsorted(signal.open_ms))
        if signal.open_ms >= least_ms:
            sides[at] = _CODES[signal.side]
            stops[at], targets[at] = signal.stop_loss or 0.0, signal.take_profit or 0.0
    return Spoken(sides, stops, targets)


def their_backtest(
    candles: Candles,
    said: Spoken,
    terms: FillTerms,
    *,
    units: float,
    on_opposite_signal: str,
    finalize_trades: bool = False,
    cash: float = CASH,
) -> Any:
    """Return a Backtest that follows the signals; one position at a time, entries and exits as market orders.

    Args:
        terms: Spread and slippage are not given on: it takes the whole spread at the entry, as a part of the price.
        units: Size of each entry, whole units; below 1 a part of the equity.
        on_opposite_signal: As in `RiskLimits`.
        finalize_trades: Close what is open at the end.
    """
    frame = candles.frame()
    frame.columns = pd.Index(["Open", "High", "Low", "Close", "Volume"])
    frame.index = pd.DatetimeIndex(frame.index).tz_localize(None)

    class Follower(TheirStrategy):  # type: ignore[misc]  # it ships no types
        def init(self) -> None:
            self.side = self.I(lambda: said.sides)
            self.stop = self.I(lambda: said.stops)
            self.target = self.I(lambda: said.targets)

        def next(self) -> None:
            side, position = self.side[-1], self.position
            if side == 0:
                return
            if side == _CODES[SignalSide.CLOSE]:
                position.close()
                return
            if position:
                if position.is_long == (side > 0) or on_opposite_signal == "ignore":
                    return
                position.close()
                if on_opposite_signal == "close":
                    return
            enter = self.buy if side > 0 else self.sell
            enter(size=units, sl=self.stop[-1] or None, tp=self.target[-1] or None)

    return Backtest(
        frame,
        Follower,
        cash=cash,
        commission=terms.commission_bps / 10_000,
        trade_on_close=terms.fill_at == "close",
        finalize_trades=finalize_trades,
    )


def run(engine: Any) -> Any:
    """Run a Backtest and return its statistics; its warnings are no errors of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return engine.run()


def their_trades(statistics: Any) -> list[Traded]:
    """Return the closed trades of a run, in the order of their entries."""
    table = statistics["_trades"]
    entries, exits = (_open_ms(table[name]) for name in ("EntryTime", "ExitTime"))
    trades = [
        Traded(size > 0, abs(float(size)), entry_ms, exit_ms, float(entry), float(exit), float(profit))
        for size, entry_ms, exit_ms, entry, exit, profit in zip(
            table["Size"], entries, exits, table["EntryPrice"], table["ExitPrice"], table["PnL"], strict=True
        )
    ]
    return sorted(trades, key=lambda trade: (trade.entry_ms, trade.exit_ms))


def our_trades(result: BacktestRun, symbol: str) -> list[Traded]:
    """Return the closed trades of a replay, in the order of their entries."""
    open_ms = result.candles[symbol].open_ms

    def candle_of(market_ms: int) -> int:
        return int(open_ms[open_ms.searchsorted(market_ms, side="right") - 1])

    trades = [
        Traded(
            trade.side.sign > 0,
            trade.units,
            candle_of(trade.entry_ms),
            candle_of(trade.exit_ms),
            trade.entry_price,
            trade.exit_price,
            trade.profit,
        )
        for trade in result.trades
        if trade.exit_ms is not None and trade.exit_price is not None
    ]
    return sorted(trades, key=lambda trade: (trade.entry_ms, trade.exit_ms))


def _open_ms(times: "pd.Series[Any]") -> list[int]:
    return pd.DatetimeIndex(times).tz_localize("UTC").as_unit("ms").asi8.tolist()
