"""The report of a backtest: its metrics and tables."""

from collections.abc import Sequence

from msgspec import Struct

from trading.backtest.report.statistics import Statistics, statistics_of
from trading.backtest.report.tables import (
    Group,
    MarketChange,
    Month,
    Refusal,
    groups_of,
    is_refused,
    is_without_effect,
    market_of,
    months_of,
    refusals_of,
)
from trading.backtest.result import BacktestRun
from trading.formatting import MONEY_DECIMALS
from trading.orders.orders import Side


class Report(Struct, frozen=True):
    """Everything that a backtest reports in addition to its trades.

    Attributes:
        statistics: The metrics.
        signals: Number of the strategies' signals.
        accepted: Number of signals that led to an order.
        refused: Number of signals that a rule rejected, except those without effect.
        no_effect: Number of signals that asked for what was so already: a close with nothing open, a second entry.
        by_symbol: Closed trades by symbol.
        by_strategy: Closed trades by strategy.
        by_exit_reason: Closed trades by `stop_loss`, `take_profit`, `signal`, `reversal`, `end` and exit rules.
        by_side: Closed trades by `long` and `short`.
        months: The account month by month.
        refusals: Rejected signals by rule and symbol.
        without_effect: Signals without effect by rule and symbol.
        market: Price changes of the symbols.
        money_decimals: Decimals of money in the account's currency.
    """

    statistics: Statistics
    signals: int
    accepted: int
    refused: int
    no_effect: int
    by_symbol: Sequence[Group]
    by_strategy: Sequence[Group]
    by_exit_reason: Sequence[Group]
    by_side: Sequence[Group]
    months: Sequence[Month]
    refusals: Sequence[Refusal]
    without_effect: Sequence[Refusal]
    market: Sequence[MarketChange]
    money_decimals: int = MONEY_DECIMALS


def report_of(result: BacktestRun, *, periods_per_year: float | None = None) -> Report:
    """Compute metrics and tables.

    Args:
        periods_per_year: The annualisation factor; None derives it from the times of the candles.

    Raises:
        ValueError: `periods_per_year` is not positive.
    """
    outcomes = [one.outcome for one in result.decisions]
    trades = result.trades
    refused = list(filter(is_refused, result.decisions))
    without_effect = list(filter(is_without_effect, result.decisions))
    return Report(
        statistics=statistics_of(result, periods_per_year=periods_per_year),
        signals=len(outcomes),
        accepted=outcomes.count("accepted"),
        refused=len(refused),
        no_effect=len(without_effect),
        by_symbol=groups_of(trades, lambda trade: trade.symbol),
        by_strategy=groups_of(trades, lambda trade: trade.strategy),
        by_exit_reason=groups_of(trades, lambda trade: trade.exit_reason or ""),
        by_side=groups_of(trades, lambda trade: "long" if trade.side is Side.BUY else "short"),
        months=months_of(result),
        refusals=refusals_of(refused),
        without_effect=refusals_of(without_effect),
        market=market_of(result),
        money_decimals=result.money_decimals,
    )
