"""Draw the status of each symbol as a table."""

from collections.abc import Sequence

from msgspec import Struct
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adapters.wiring.symbol_status import SymbolStatus
from trading.formatting import MONEY_DECIMALS, format_minute, format_money, format_price_cell
from trading_orchestrator.launcher.console import profit

WIDE_COLUMNS = 150
MIDDLE_COLUMNS = 110

STYLES = {
    "running": "green",
    "warming_up": "yellow",
    "market_closed": "cyan",
    "recording_ended": "cyan",
    "starting": "yellow",
    "paused": "yellow",
    "stopped": "dim",
    "stale": "bold red",
}
FOOTER = """\
pause   celery call tasks.pause_symbol -a '["{symbol}"]'
resume  celery call tasks.resume_symbol -a '["{symbol}"]'
stop    Ctrl-C (twice: at once)    logs  {logs}"""


class Overview(Struct, frozen=True):
    """Values above and below the table.

    Attributes:
        balance: Starting balance plus realised profit, in quote currency.
        decimals: Decimals of money.
        trouble: Error that keeps the rows from being current; empty if none.
    """

    account: str
    balance: float | None
    uptime_s: float
    redis: str
    flower_url: str | None
    logs: str
    trouble: str = ""
    decimals: int = MONEY_DECIMALS


def render(rows: Sequence[SymbolStatus], overview: Overview, *, width: int) -> RenderableType:
    """Draw the overview, the table and the help; below `WIDE_COLUMNS` the decisions follow the table."""
    parts: list[RenderableType] = [_head(rows, overview), _table(rows, width, overview.decimals)]
    if width < WIDE_COLUMNS:
        parts.append(_decisions(rows))
    symbol = rows[0].symbol if rows else "XAUUSD"
    parts.append(Text(FOOTER.format(symbol=symbol, logs=overview.logs), style="dim"))
    return Group(*parts)


def _head(rows: Sequence[SymbolStatus], overview: Overview) -> Text:
    total = sum(row.realised + row.unrealised for row in rows)
    balance = "unknown" if overview.balance is None else format_money(overview.balance, overview.decimals)
    first = Text.assemble(
        (overview.account, "bold"),
        "  balance ",
        (balance, "bold"),
        "  P&L ",
        profit(total, overview.decimals),
        "  up ",
        uptime(overview.uptime_s),
    )
    second = Text.assemble("Redis ", overview.redis, "  Flower ", overview.flower_url or "not started", style="dim")
    lines = [first, second]
    if overview.trouble:
        lines.append(Text(f"outdated: {overview.trouble}", style="bold red"))
    return Text("\n").join(lines)


def _table(rows: Sequence[SymbolStatus], width: int, decimals: int) -> Table:
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
        cells: list[RenderableType] = [
            row.symbol,
            _state_text(row),
            format_minute(row.candle_ms),
            format_price_cell(row.close),
            _position(row),
        ]
        if is_middle:
            cells += [
                profit(row.realised, decimals),
                profit(row.unrealised, decimals),
                str(row.orders_filled),
                row.regime,
            ]
        else:
            cells.append(profit(row.realised + row.unrealised, decimals))
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
    """Return the error, else the last decision with a reason."""
    if wrong := row.halted or row.at_risk or row.error:
        return Text(wrong, style="red")
    decision = (
        row.decision if row.last_action_ms is None else f"{format_minute(row.last_action_ms)[-5:]}  {row.last_action}"
    )
    if row.last_error is None:
        return Text(decision)
    return Text.assemble((row.last_error_words, "red"), f"; {decision}" if decision else "")


def _state_text(row: SymbolStatus) -> Text:
    age = f" {uptime(row.progress_age_s)}" if row.state == "stale" and row.progress_age_s is not None else ""
    return Text(in_two_lines(row.state_words) + age, style=STYLES.get(row.state, "bold red"))


def in_two_lines(state: str) -> str:
    """Break the longest states, so that other columns keep their room."""
    return state.replace(" until ", "\nuntil ").replace(" (", "\n(")


def _position(row: SymbolStatus) -> str:
    return f"{row.units:+g} @ {format_price_cell(row.average_price)}" if row.units else "flat"


def uptime(seconds: float) -> str:
    """Return a duration in short form: `45s`, `12m05s`, `3h07m`, `2d04h`."""
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days}d{hours_left:02}h"
    if hours:
        return f"{hours}h{minutes_left:02}m"
    return f"{minutes}m{rest_s:02}s" if minutes else f"{rest_s}s"
