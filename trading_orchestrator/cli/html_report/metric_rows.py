"""Metrics of a backtest under their usual names, in display order."""

from collections.abc import Sequence

from msgspec import Struct

from trading.backtest.report import Report, Statistics
from trading.formatting import NONE, format_minute, format_money, format_profit
from trading_orchestrator.cli.html_report.formatting import duration, percent, ratio

FEW_RETURNS = 20
"""Number of daily returns below which annualised values are not meaningful."""


class Metric(Struct, frozen=True):
    """One metric.

    Attributes:
        name: Display name.
        text: Display value.
        tone: Above zero for a good value, below zero for a bad one, 0 for neither.
        is_part: The metric details the one above it.
    """

    name: str
    text: str
    tone: float = 0.0
    is_part: bool = False


class Section(Struct, frozen=True):
    """A titled group of metrics."""

    title: str
    metrics: Sequence[Metric]


def sections_of(report: Report, *, with_other_definitions: bool = False) -> list[Section]:
    """Return the metrics.

    Args:
        with_other_definitions: Also return the other Sharpe ratio and volatility, with the definition of each.
    """
    statistics = report.statistics
    others = [Section("Definitions", _definitions(statistics))] if with_other_definitions else []
    return [
        Section("Return", _returns(statistics, report)),
        Section("Risk", _risk(statistics, report.money_decimals)),
        Section("Trades", _trades(statistics, report.money_decimals)),
        Section("Per trade", _each_trade(statistics, report.money_decimals)),
        *others,
    ]


def headlines_of(report: Report) -> list[Metric]:
    """Return the headline metrics."""
    one, decimals = report.statistics, report.money_decimals
    return [
        Metric("Total return", percent(one.total_return, signed=True), one.total_return),
        Metric("Net profit", format_profit(one.net_profit, decimals), one.net_profit),
        Metric("Max drawdown", percent(one.drawdown.fraction), one.drawdown.fraction),
        Metric("Sharpe", ratio(one.daily_sharpe), one.daily_sharpe or 0.0),
        Metric("Profit factor", ratio(one.profit_factor), (one.profit_factor or 1.0) - 1),
        Metric("Win rate", percent(one.win_rate)),
        Metric("Trades", f"{one.trade_count:,}"),
        Metric("Exposure", percent(one.exposure)),
    ]


def annualised_by(statistics: Statistics) -> str:
    """Return the annualisation factor as text."""
    return f"{statistics.periods_per_year:g} returns per year"


def caveat(statistics: Statistics) -> str | None:
    """Return a note when annualised values rest on few days or on an account without equity, else None."""
    if statistics.lost_ms is not None:
        return f"the account lost all equity at {format_minute(statistics.lost_ms)}, so annualised values are undefined"
    if statistics.return_count >= FEW_RETURNS:
        return None
    return (
        f"only {statistics.return_count} daily returns: annualised return, CAGR, volatility, Sharpe, Sortino and "
        "Calmar are not meaningful"
    )


def _returns(one: Statistics, report: Report) -> list[Metric]:
    market, decimals = report.market[-1].change, report.money_decimals
    return [
        Metric("Starting balance", format_money(one.starting_balance, decimals)),
        Metric("Final equity", format_money(one.final_equity, decimals)),
        Metric("Highest equity", format_money(one.highest_equity, decimals)),
        Metric("Total return", percent(one.total_return, signed=True), one.total_return),
        Metric("Return (ann.)", percent(one.annual_return, signed=True), one.annual_return or 0.0),
        Metric("CAGR", percent(one.cagr, signed=True), one.cagr or 0.0),
        Metric("Market change", percent(market, signed=True), market or 0.0),
        Metric("Fees", format_money(one.fees, decimals)),
    ]


def _risk(one: Statistics, decimals: int) -> list[Metric]:
    fall = one.drawdown
    return [
        Metric("Sharpe", ratio(one.daily_sharpe), one.daily_sharpe or 0.0),
        Metric("Volatility (ann.)", percent(one.daily_volatility)),
        Metric("Sortino", ratio(one.sortino), one.sortino or 0.0),
        Metric("Calmar", ratio(one.calmar), one.calmar or 0.0),
        Metric("Annualised with", annualised_by(one)),
        Metric("Daily returns", f"{one.return_count:,}"),
        Metric("Max drawdown", percent(fall.fraction), fall.fraction),
        Metric("amount", format_money(fall.amount, decimals), fall.amount, is_part=True),
        Metric("from peak", format_minute(fall.peak_ms), is_part=True),
        Metric("lowest at", format_minute(fall.trough_ms), is_part=True),
        Metric(
            "  recovered",
            "not yet" if fall.peak_ms is not None and fall.recovered_ms is None else format_minute(fall.recovered_ms),
        ),
        Metric("duration", duration(fall.duration_s), is_part=True),
        Metric("Longest drawdown", duration(fall.longest_s)),
    ]


def _definitions(one: Statistics) -> list[Metric]:
    return [
        Metric("Sharpe: mean / deviation of daily returns", ratio(one.daily_sharpe), one.daily_sharpe or 0.0),
        Metric("Sharpe: annual return / compounded volatility", ratio(one.sharpe), one.sharpe or 0.0),
        Metric("Volatility: deviation of daily returns, annualised", percent(one.daily_volatility)),
        Metric("Volatility: deviation of a year's compounded return", percent(one.volatility)),
    ]


def _trades(one: Statistics, decimals: int) -> list[Metric]:
    return [
        Metric("Closed trades", f"{one.trade_count:,}"),
        Metric("Open at the end", f"{one.open_count:,}"),
        Metric("Won / lost", f"{one.win_count:,} / {one.loss_count:,}"),
        Metric("Win rate", percent(one.win_rate)),
        Metric("Net profit", format_profit(one.net_profit, decimals), one.net_profit),
        Metric("Gross profit", format_money(one.gross_profit, decimals)),
        Metric("Gross loss", format_money(-one.gross_loss, decimals)),
        Metric("Profit factor", ratio(one.profit_factor), (one.profit_factor or 1.0) - 1),
        Metric("of returns", ratio(one.return_profit_factor), is_part=True),
        Metric("SQN", ratio(one.sqn), one.sqn or 0.0),
        Metric("Max consecutive wins", f"{one.consecutive_wins:,}"),
        Metric("Max consecutive losses", f"{one.consecutive_losses:,}"),
        Metric("Exposure", percent(one.exposure)),
    ]


def _each_trade(one: Statistics, decimals: int) -> list[Metric]:
    return [
        Metric("Expectancy", format_profit(one.expectancy, decimals), one.expectancy or 0.0),
        Metric("of returns", _fine(one.expectancy_return), one.expectancy_return or 0.0, is_part=True),
        Metric("Avg. trade", _fine(one.average_trade_return), one.average_trade_return or 0.0),
        Metric("Avg. win", format_profit(one.average_win, decimals)),
        Metric("Avg. loss", format_profit(one.average_loss, decimals)),
        Metric("Best trade", format_profit(one.best_trade, decimals)),
        Metric("return", percent(one.best_trade_return, signed=True), is_part=True),
        Metric("Worst trade", format_profit(one.worst_trade, decimals)),
        Metric("return", percent(one.worst_trade_return, signed=True), is_part=True),
        Metric("Avg. duration", duration(one.average_duration_s)),
        Metric("Longest", duration(one.longest_duration_s)),
    ]


def _fine(fraction: float | None) -> str:
    """Return a small fraction as percent, with more digits."""
    return NONE if fraction is None else f"{fraction * 100:+.4f} %"
