"""Output of `trading backtest`: a summary for terminals, the full result for programs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from msgspec import Struct, structs
from rich import box
from rich.columns import Columns
from rich.table import Table
from rich.text import Text

from trading.backtest import BacktestRun, Trade
from trading.backtest.report import Report
from trading.backtest.report.tables import Group, Refusal, is_refused, is_without_effect
from trading.backtest.result import Floats
from trading.events.decisions import Decisions, describe, has_too_few_rows
from trading.formatting import MONEY_DECIMALS, format_minute, format_money
from trading.structs import asdict
from trading_orchestrator.cli.candles.gaps import Missing, missing_text
from trading_orchestrator.cli.html_report.formatting import percent, ratio
from trading_orchestrator.cli.html_report.metric_rows import Section, caveat, sections_of
from trading_orchestrator.cli.output import Column, make_console, table
from trading_orchestrator.launcher.console import profit

CHART_ROWS = 5
CHART_WIDTH = 100
_BLOCKS = " ▁▂▃▄▅▆▇█"
_LABEL = 16
"""Characters beside the chart for its highest and lowest values."""


class Row(Struct, frozen=True):
    """One symbol of a backtest, or all symbols; money in the account's currency."""

    symbol: str
    candles: int
    signals: int
    refused: int
    no_effect: int
    trades: int
    won: int
    fees: float
    profit: float


def as_dict(
    result: BacktestRun, report: Report, missing: Mapping[str, Missing], closed: Mapping[str, int]
) -> dict[str, Any]:
    """Return a backtest, JSON-safe; arrays become lists."""
    whole = asdict(report)
    return {
        "account": result.account,
        "currency": result.currency,
        "starting_balance": result.starting_balance,
        "symbols": {
            symbol: {
                "timeframe": result.timeframes[symbol],
                "candle_count": len(candles),
                "first_open_ms": int(candles.open_ms[0]),
                "last_open_ms": candles.last_open_ms,
                "missing": asdict(missing[symbol]),
                "closed_left_out": closed[symbol],
            }
            for symbol, candles in result.candles.items()
        },
        "statistics": {**whole.pop("statistics"), **whole},
        "decisions": _dicts(result.decisions),
        "orders": _dicts(result.orders),
        "fills": _dicts(result.fills),
        "trades": _dicts(result.trades),
        "positions": _dicts(result.positions),
        "equity": {name: column.tolist() for name, column in asdict(result.equity).items()},
    }


def _warm_up(decisions: Sequence[Decisions]) -> str:
    """Return how long the strategy was not evaluated; empty if it always was."""
    count = sum(1 for _ in takewhile(has_too_few_rows, decisions))
    if not count:
        return ""
    if count < len(decisions):
        return f"the first {count:,} candles fill the window of the indicators; the strategy is evaluated from then on"
    fault = "the strategy was never evaluated, because its indicators need more candles than there are"
    return f"{fault} ({describe(decisions[-1])}); use an earlier --from, or shorter indicators"


def show(
    result: BacktestRun,
    report: Report,
    missing: Mapping[str, Missing],
    closed: Mapping[str, int],
    took_s: float,
    *,
    with_other_definitions: bool = False,
) -> None:
    """Print the results of a backtest, the missing candles and those of closed hours by symbol, and the run time."""
    console = make_console()
    count = sum(len(candles) for candles in result.candles.values())
    decimals = result.money_decimals
    for symbol, candles in result.candles.items():
        span = f"{format_minute(int(candles.open_ms[0]))} to {format_minute(candles.last_open_ms)} UTC"
        console.show(Text(f"{symbol} {result.timeframes[symbol]}: {len(candles):,} candles, {span}"))
        if missing[symbol].candles:
            console.show(Text(f"{symbol}: {missing_text(missing[symbol])}", style="yellow"))
        if text := _warm_up(result.journals[symbol].decisions):
            console.show(Text(f"{symbol}: {text}", style="yellow"))
        if closed[symbol]:
            text = f"{closed[symbol]:,} candles of closed hours (flat, without volume) are left out and not traded"
            console.show(Text(f"{symbol}: {text}", style="yellow"))
    console.show(table(_columns(decimals), _rows(result), width=console.width))
    equity = result.equity.equity
    end, lowest = float(equity[-1]), float(equity.min())
    console.show(
        Text(
            f"account {result.account}: {format_money(result.starting_balance, decimals)} at the start, "
            f"{format_money(end, decimals)} at the end, {format_money(lowest, decimals)} at the lowest close"
        )
    )
    if not console.options.ascii_only:
        width = min(console.width, CHART_WIDTH) - _LABEL - max(decimals - MONEY_DECIMALS, 0)
        for line in equity_chart(equity, width=width, start=result.starting_balance, decimals=decimals):
            console.show(line)
    console.show(Text())
    console.show(
        Columns(map(_drawn, sections_of(report, with_other_definitions=with_other_definitions)), padding=(0, 3))
    )
    if report.by_exit_reason:
        console.show(table(_exit_columns(decimals), report.by_exit_reason, width=console.width))
    for title, counted in (("refused by", report.refusals), ("without effect", report.without_effect)):
        if counted:
            console.show(Text(f"{title}: {_by_rule(counted)}"))
    if few := caveat(report.statistics):
        console.show(Text(few, style="yellow"))
    console.show(Text(f"{took_s:.2f} s, {count / took_s:,.0f} candles per second", style="dim"))


def _by_rule(counted: Iterable[Refusal]) -> str:
    rules: dict[str, int] = {}
    for one in counted:
        rules[one.rule] = rules.get(one.rule, 0) + one.signals
    return ", ".join(f"{rule} {number}" for rule, number in rules.items())


def equity_chart(
    equity: Floats, *, width: int, start: float, rows: int = CHART_ROWS, decimals: int = MONEY_DECIMALS
) -> list[Text]:
    """Draw an equity curve as rows of blocks, highest first; green at or above `start`, red below.

    Args:
        equity: At least one value.
        width: Characters, without the labels beside the chart.
        start: The starting balance.
        decimals: Of the values beside the chart.
    """
    places = np.linspace(0, len(equity) - 1, max(min(width, len(equity)), 1)).astype(np.int64)
    shown = equity[places]
    low, high = min(float(equity.min()), start), max(float(equity.max()), start)
    heights = np.rint((shown - low) / ((high - low) or 1.0) * (rows * 8 - 1)).astype(np.int64) + 1
    styles = ["green" if value >= start else "red" for value in shown]
    beside = {rows - 1: f" {format_money(high, decimals)}", 0: f" {format_money(low, decimals)}"}
    return [
        Text.assemble(
            *(
                (_BLOCKS[min(max(height - row * 8, 0), 8)], style)
                for height, style in zip(heights, styles, strict=True)
            ),
            (beside.get(row, ""), "dim"),
        )
        for row in reversed(range(rows))
    ]


def _drawn(section: Section) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    drawn.add_column(section.title, no_wrap=True)
    drawn.add_column("", justify="right", no_wrap=True)
    for metric in section.metrics:
        style = "green" if metric.tone > 0 else "red" if metric.tone < 0 else ""
        drawn.add_row(
            Text(f"  {metric.name}" if metric.is_part else metric.name, style="dim"), Text(metric.text, style=style)
        )
    return drawn


def _rows(result: BacktestRun) -> list[Row]:
    rows = [_row(result, symbol, [symbol]) for symbol in result.candles]
    return rows if len(rows) == 1 else [*rows, _row(result, "all", result.candles)]


def _row(result: BacktestRun, name: str, symbols: Iterable[str]) -> Row:
    chosen = set(symbols)
    trades: list[Trade] = [trade for trade in result.trades if trade.symbol in chosen]
    decisions = [one for one in result.decisions if one.symbol in chosen]
    return Row(
        name,
        sum(len(result.candles[symbol]) for symbol in chosen),
        len(decisions),
        sum(map(is_refused, decisions)),
        sum(map(is_without_effect, decisions)),
        len(trades),
        sum(trade.profit > 0 for trade in trades),
        sum(trade.fees for trade in trades),
        sum(trade.profit for trade in trades),
    )


def _dicts(rows: Iterable[Struct]) -> list[Mapping[str, Any]]:
    return [structs.asdict(row) for row in rows]


def _columns(decimals: int) -> Sequence[Column]:
    return (
        Column("symbol", lambda row: row.symbol, style="bold"),
        Column("candles", lambda row: f"{row.candles:,}", is_number=True),
        Column("signals", lambda row: f"{row.signals:,}", is_number=True),
        Column("refused", lambda row: f"{row.refused:,}", is_number=True),
        Column("no effect", lambda row: f"{row.no_effect:,}", is_number=True),
        Column("trades", lambda row: f"{row.trades:,}", is_number=True),
        Column("won", lambda row: f"{row.won:,}", is_number=True),
        Column("fees", lambda row: format_money(row.fees, decimals), is_number=True),
        Column("profit", lambda row: profit(row.profit, decimals), is_number=True),
    )


def _exit_name(group: Group) -> str:
    return group.name.replace("_", " ")


def _exit_columns(decimals: int) -> Sequence[Column]:
    return (
        Column("exit reason", _exit_name, style="bold"),
        Column("trades", lambda group: f"{group.trades:,}", is_number=True),
        Column("won", lambda group: percent(group.win_rate), is_number=True),
        Column("profit factor", lambda group: ratio(group.profit_factor), is_number=True),
        Column("avg. profit", lambda group: profit(group.expectancy, decimals), is_number=True),
        Column("profit", lambda group: profit(group.profit, decimals), is_number=True),
    )
