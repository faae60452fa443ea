"""How each symbol stands, drawn as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adapters.status import SymbolStatus

WIDE_COLUMNS = 150
MIDDLE_COLUMNS = 110

STYLES = {"running": "green", "starting": "yellow", "paused": "yellow", "stopped": "dim", "stale": "bold red"}
FOOTER = """\
pause   celery call tasks.pause_symbol -a '["{symbol}"]'
resume  celery call tasks.resume_symbol -a '["{symbol}"]'
stop    Ctrl-C (twice: at once)    logs  {logs}"""


@dataclass(frozen=True, slots=True)
class Overview:
    """What stands above and below the table.

    Attributes:
        balance: Starting balance plus realised profit, in quote currency.
        trouble: Why the rows are not of now; empty when they are.
    """

    account: str
    balance: float | None
    uptime_s: float
    redis: str
    flower_url: str | None
    logs: str
    trouble: str = ""


def render(rows: Sequence[SymbolStatus], overview: Overview, *, width: int) -> RenderableType:
    """Draw the overview, the table and the help; below `WIDE_COLUMNS` the decisions stand under the table."""
    parts: list[RenderableType] = [_head(rows, overview), _table(rows, width)]
    if width < WIDE_COLUMNS:
        parts.append(_decisions(rows))
    symbol = rows[0].symbol if rows else "XAUUSD"
    parts.append(Text(FOOTER.format(symbol=symbol, logs=overview.logs), style="dim"))
    return Group(*parts)


def _head(rows: Sequence[SymbolStatus], overview: Overview) -> Text:
    total = sum(row.realised + row.unrealised for row in rows)
    balance = "unknown" if overview.balance is None else f"{overview.balance:,.2f}"
    first = Text.assemble(
        (overview.account, "bold"),
        "  balance ",
        (balance, "bold"),
        "  P&L ",
        _profit(total),
        "  up ",
        uptime(overview.uptime_s),
    )
    second = Text.assemble("Redis ", overview.redis, "  Flower ", overview.flower_url or "not started", style="dim")
    lines = [first, second]
    if overview.trouble:
        lines.append(Text(f"not up to date: {overview.trouble}", style="bold red"))
    return Text("\n").join(lines)


def _table(rows: Sequence[SymbolStatus], width: int) -> Table:
    is_wide, is_middle = width >= WIDE_COLUMNS, width >= MIDDLE_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, expand=is_wide, pad_edge=False, padding=(0, 1))
    table.add_column("symbol", style="bold", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("candle (UTC)", no_wrap=True)
    table.add_column("close", justify="right", no_wrap=True)
    table.add_column("position", justify="right", no_wrap=True)
    table.add_column("realised" if is_middle else "P&L", justify="right", no_wrap=True)
    if is_middle:
        table.add_column("unrealised", justify="right", no_wrap=True)
        table.add_column("orders", justify="right", no_wrap=True)
        table.add_column("regime", no_wrap=True)
    if is_wide:
        table.add_column("last decision", ratio=1)
    for row in rows:
        cells: list[RenderableType] = [row.symbol, _state_text(row), _when(row), _price(row.close), _position(row)]
        if is_middle:
            cells += [_profit(row.realised), _profit(row.unrealised), str(row.orders_filled), row.regime]
        else:
            cells.append(_profit(row.realised + row.unrealised))
        table.add_row(*cells, *([_why(row)] if is_wide else []))
    return table


def _decisions(rows: Sequence[SymbolStatus]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        grid.add_row(f" {row.symbol}", _why(row))
    grid.add_row("", "")
    return grid


def _why(row: SymbolStatus) -> Text:
    """Return what is wrong, else what was decided on the last candle of which there was something to say."""
    if row.halted or row.error:
        return Text(row.halted or row.error, style="red")
    if row.said_ms is None:
        return Text(row.decision)
    return Text(f"{datetime.fromtimestamp(row.said_ms / 1000, UTC):%H:%M}  {row.said}")


def _state_text(row: SymbolStatus) -> Text:
    age = f" {uptime(row.progress_age_s)}" if row.state == "stale" and row.progress_age_s is not None else ""
    return Text(row.state + age, style=STYLES.get(row.state, "bold red"))


def _when(row: SymbolStatus) -> str:
    return "-" if row.candle_ms is None else f"{datetime.fromtimestamp(row.candle_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _price(price: float | None) -> str:
    if price is None:
        return "-"
    return f"{price:,.2f}" if abs(price) >= 100 else f"{price:,.5f}"


def _position(row: SymbolStatus) -> str:
    return f"{row.units:+g} @ {_price(row.average_price)}" if row.units else "flat"


def _profit(amount: float) -> Text:
    style = "green" if amount > 0 else "red" if amount < 0 else ""
    return Text(f"{amount:+,.2f}" if amount else "0.00", style=style)


def uptime(seconds: float) -> str:
    """Return a duration as people say it: `45s`, `12m05s`, `3h07m`, `2d04h`."""
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days}d{hours_left:02}h"
    if hours:
        return f"{hours}h{minutes_left:02}m"
    return f"{minutes}m{rest_s:02}s" if minutes else f"{rest_s}s"
