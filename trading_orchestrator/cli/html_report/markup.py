"""Render metrics and tables as HTML; every text is escaped."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import escape as text
from typing import Any

from msgspec import Struct

from trading.backtest.report import Report, Statistics
from trading.formatting import format_money, format_price_cell, format_profit
from trading_orchestrator.cli.html_report import metric_rows as names
from trading_orchestrator.cli.html_report.formatting import duration, percent, ratio

__all__ = ["caveat", "headlines", "metrics", "sentences", "tables", "text"]


class _Column(Struct, frozen=True):
    """One column; rows are sorted by `value` and displayed with `shown`."""

    title: str
    value: Callable[[Any], Any]
    shown: Callable[[Any], str] = str
    is_toned: bool = False


def headlines(report: Report) -> str:
    """Return the tiles of the headline metrics."""
    return "".join(
        f'<div class="tile"><span>{text(one.name)}</span>'
        f'<strong class="{_tone(one.tone)}">{text(one.text)}</strong></div>'
        for one in names.headlines_of(report)
    )


def caveat(statistics: Statistics) -> str:
    """Return a note when annualised values are not meaningful, else an empty string."""
    found = names.caveat(statistics)
    return "" if found is None else f'<p class="note">{text(found)}.</p>'


def metrics(report: Report) -> str:
    """Return all metrics, one list per section."""
    return "".join(
        f'<section class="card"><h3>{text(section.title)}</h3>'
        f"<dl>{''.join(map(_metric, section.metrics))}</dl></section>"
        for section in names.sections_of(report)
    )


def tables(report: Report) -> str:
    """Return all tables, including those of one row, because they name the row."""
    decimals = report.money_decimals
    parts = [
        _table("By symbol", _group_columns("Symbol", decimals), report.by_symbol, width="wide"),
        _table("By strategy", _group_columns("Strategy", decimals), report.by_strategy, width="wide"),
        _table(
            "By exit reason",
            _group_columns("Exit reason", decimals, shown=_spaced),
            report.by_exit_reason,
            width="wide",
        ),
        _table("By side", _group_columns("Side", decimals), report.by_side, width="wide"),
        _table("By month", _month_columns(decimals), report.months),
        _table("Market change", _MARKET, report.market),
        _table("Rejected signals", _REFUSAL, report.refusals, note=_signals(report)),
        _table("Signals without effect", _REFUSAL, report.without_effect),
    ]
    return "".join(parts)


def sentences(lines: Iterable[str]) -> str:
    """Return the lines as an HTML list."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"


def _signals(report: Report) -> str:
    counts = f"{report.accepted:,} accepted, {report.refused:,} rejected, {report.no_effect:,} without effect"
    return f"{report.signals:,} signals: {counts}."


def _metric(one: names.Metric) -> str:
    kind = ' class="part"' if one.is_part else ""
    return f'<div{kind}><dt>{text(one.name)}</dt><dd class="{_tone(one.tone)}">{text(one.text)}</dd></div>'


def _table(title: str, columns: Sequence[_Column], rows: Sequence[Any], *, note: str = "", width: str = "") -> str:
    head = "".join(f'<th scope="col"><button type="button">{text(column.title)}</button></th>' for column in columns)
    body = "".join(f"<tr>{''.join(_cell(column, row) for column in columns)}</tr>" for row in rows)
    if not rows:
        body = f'<tr><td colspan="{len(columns)}">none</td></tr>'
    paragraph = f"<p>{text(note)}</p>" if note else ""
    return (
        f'<section class="card {width}"><h3>{text(title)}</h3>{paragraph}<div class="scroll"><table class="sortable">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _cell(column: _Column, row: Any) -> str:
    value = column.value(row)
    tone = _tone(value) if column.is_toned and value is not None else ""
    return (
        f'<td data-value="{text(str("" if value is None else value))}" class="{tone}">{text(column.shown(value))}</td>'
    )


def _tone(value: float) -> str:
    return "good" if value > 0 else "bad" if value < 0 else ""


def _count(value: int) -> str:
    return f"{value:,}"


def _signed_percent(value: float | None) -> str:
    return percent(value, signed=True)


def _spaced(rule: str) -> str:
    """Return the id of an exit rule with spaces instead of underscores."""
    return rule.replace("_", " ")


def _money(decimals: int) -> tuple[Callable[[Any], str], Callable[[Any], str]]:
    """Return how to show money, and money with its sign."""
    return partial(format_money, decimals=decimals), partial(format_profit, decimals=decimals)


def _group_columns(title: str, decimals: int, *, shown: Callable[[str], str] = str) -> Sequence[_Column]:
    money, signed = _money(decimals)
    return (
        _Column(title, lambda group: shown(group.name)),
        _Column("Trades", lambda group: group.trades, _count),
        _Column("Won", lambda group: group.wins, _count),
        _Column("Win rate", lambda group: group.win_rate, percent),
        _Column("Profit", lambda group: group.profit, signed, is_toned=True),
        _Column("Expectancy", lambda group: group.expectancy, signed, is_toned=True),
        _Column("Profit factor", lambda group: group.profit_factor, ratio),
        _Column("Best", lambda group: group.best, signed),
        _Column("Worst", lambda group: group.worst, signed),
        _Column("Fees", lambda group: group.fees, money),
        _Column("Avg. duration", lambda group: group.average_duration_s, duration),
    )


def _month_columns(decimals: int) -> Sequence[_Column]:
    _, signed = _money(decimals)
    return (
        _Column("Month", lambda month: month.month),
        _Column("Change", lambda month: month.change, _signed_percent, is_toned=True),
        _Column("Realised", lambda month: month.profit, signed, is_toned=True),
        _Column("Trades", lambda month: month.trades, _count),
        _Column("Won", lambda month: month.wins, _count),
        _Column("Max drawdown", lambda month: month.deepest, percent),
    )


_MARKET = (
    _Column("Symbol", lambda row: row.symbol),
    _Column("First close", lambda row: row.first_close, format_price_cell),
    _Column("Last close", lambda row: row.last_close, format_price_cell),
    _Column("Change", lambda row: row.change, _signed_percent, is_toned=True),
)
_REFUSAL = (
    _Column("Rule", lambda row: row.rule),
    _Column("Symbol", lambda row: row.symbol),
    _Column("Signals", lambda row: row.signals, _count),
)
