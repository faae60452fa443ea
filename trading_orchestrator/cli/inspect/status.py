"""`trading status`: show the status of the account and its symbols."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click
from msgspec import Struct, field
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from adapters.redis.applied_config import AppliedConfig, EndedProcess
from adapters.wiring.symbol_status import LEFT_OPEN, SymbolStatus, read_status, unconfigured
from configs.loading import symbols_file
from configs.settings import resolve_redis_url
from trading.currencies import DEFAULT_CURRENCY
from trading.errors import Transient
from trading.formatting import MONEY_DECIMALS, format_minute, format_money, format_price_cell
from trading.structs import asdict
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.output import MIDDLE, WIDE, Column, make_console, print_json, table
from trading_orchestrator.launcher.console import profit
from trading_orchestrator.launcher.launcher import shown_address
from trading_orchestrator.launcher.status_table import STYLES, in_two_lines, uptime

WATCH_PAUSE_S = 1.0


class StatusView(Struct, frozen=True):
    """Status of the account and its symbols.

    Attributes:
        balance: Starting balance plus realised profit, in `currency`.
        symbols_file: Path of the file that configures the symbols.
        ended: Processes of the launcher that have ended and wait for their restart.
        currency: Currency of the account.
        decimals: Decimals of money in that currency.
        unconfigured: Open orders and positions of symbols that are no longer configured, as text by symbol.
    """

    account: str
    balance: float
    redis: str
    symbols: Sequence[SymbolStatus]
    unconfigured: Mapping[str, str] = field(default_factory=dict)
    ended: Sequence[EndedProcess] = ()
    symbols_file: str = "symbols.yaml"
    currency: str = DEFAULT_CURRENCY
    decimals: int = MONEY_DECIMALS

    def as_dict(self) -> dict[str, Any]:
        """Return the `--json` output."""
        return {
            "account": self.account,
            "currency": self.currency,
            "balance": self.balance,
            "symbols": [symbol.as_dict() for symbol in self.symbols],
            "unconfigured": dict(self.unconfigured),
            "ended_processes": [asdict(one) for one in self.ended],
        }


@click.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--watch", is_flag=True, help="Refresh each second until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(symbols: tuple[str, ...], watch: bool, as_json: bool) -> None:
    """Show the status of symbols.

    Without SYMBOL, of all symbols.
    """
    if watch and as_json:
        raise click.UsageError("--watch cannot be combined with --json")
    with Access() as access:
        names = [access.known(symbol) for symbol in symbols]
        record = _read(access, names)
        if as_json:
            print_json(record.as_dict())
        elif watch:
            _watch(access, names, record)
        else:
            console = make_console()
            console.show(view(record, width=console.width))


def view(record: StatusView, *, width: int, trouble: str = "") -> RenderableType:
    """Draw the account, the symbols and the last decision for each."""
    total = sum(row.realised + row.unrealised for row in record.symbols)
    head = Text.assemble(
        (record.account, "bold"),
        "  balance ",
        (format_money(record.balance, record.decimals), "bold"),
        "  P&L ",
        profit(total, record.decimals),
        (f"  Redis {record.redis}", "dim"),
    )
    parts: list[RenderableType] = [head]
    if trouble:
        parts.append(Text(f"outdated: {trouble}", style="bold red"))
    parts += [Text(str(one), style="bold red") for one in record.ended]
    for columns in (_columns(record.decimals), LAST):
        parts += [Text(), table(columns, record.symbols, width=width)]
    for symbol, what in record.unconfigured.items():
        parts.append(
            Text.assemble((f"\n{symbol}: {what}", "bold red"), f"; {LEFT_OPEN.format(file=record.symbols_file)}")
        )
    return Group(*parts)


def _read(access: Access, names: Sequence[str]) -> StatusView:
    """Read the status of the named symbols, or of all when none is named."""
    rows = read_status(access.redis, access.ledger, access.system, access.settings.namespace)
    return StatusView(
        access.system.account.name,
        access.ledger.balance(),
        shown_address(resolve_redis_url(access.settings)),
        [row for row in rows if not names or row.symbol in names],
        unconfigured(access.ledger, access.system),
        _ended(access),
        symbols_file(access.settings),
        access.system.account.currency,
        access.system.account.money_decimals,
    )


def _ended(access: Access) -> Sequence[EndedProcess]:
    found = AppliedConfig(access.redis, access.settings.namespace).launcher()
    return found.ended if found else ()


def _watch(access: Access, names: Sequence[str], record: StatusView) -> None:
    console = make_console()
    trouble = ""
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(view(record, width=console.width, trouble=trouble), refresh=True)
                time.sleep(WATCH_PAUSE_S)
                access.reload_system()
                try:
                    record, trouble = _read(access, names), ""
                except Transient as error:
                    trouble = str(error)
    except KeyboardInterrupt:
        return


def _state(row: SymbolStatus) -> Text:
    return Text(in_two_lines(row.state_words), style=STYLES.get(row.state, "bold red"))


def _position(row: SymbolStatus) -> str:
    return f"{row.units:+g} @ {format_price_cell(row.average_price)}" if row.units else "flat"


def _age(row: SymbolStatus) -> str:
    return "never" if row.progress_age_s is None else f"{uptime(row.progress_age_s)} ago"


def _is_last(row: SymbolStatus) -> bool:
    return row.last_error is not None and row.last_error.text == row.error


def _last(row: SymbolStatus) -> Text:
    if row.halted or row.at_risk:
        return Text(row.halted or row.at_risk, style="bold red")
    if row.error:
        return Text(row.last_error_words if _is_last(row) else row.error, style="red")
    if row.rejected:
        return Text(row.rejected, style="red")
    if row.last_action_ms is None:
        decision = Text(row.decision or "none yet")
    else:
        decision = Text.assemble((f"{format_minute(row.last_action_ms)}  ", "dim"), row.last_action)
    return decision.append(f"\n{row.last_error_words}", "red") if row.last_error else decision


def _columns(decimals: int) -> Sequence[Column]:
    return (
        Column("symbol", lambda row: row.symbol, style="bold"),
        Column("state", _state),
        Column("fetched", _age, least_width=MIDDLE),
        Column("candle (UTC)", lambda row: format_minute(row.candle_ms)),
        Column("close", lambda row: format_price_cell(row.close), is_number=True),
        Column("position", _position, is_number=True),
        Column("P&L", lambda row: profit(row.realised + row.unrealised, decimals), is_number=True),
        Column("realised", lambda row: profit(row.realised, decimals), least_width=WIDE, is_number=True),
        Column("unrealised", lambda row: profit(row.unrealised, decimals), least_width=WIDE, is_number=True),
        Column("orders", lambda row: str(row.orders_filled), least_width=MIDDLE, is_number=True),
        Column("regime", lambda row: row.regime or "-", least_width=MIDDLE),
        Column("strategy", lambda row: row.strategy, least_width=WIDE),
    )


LAST = (
    Column("symbol", lambda row: row.symbol, style="bold"),
    Column("last error or decision (candle, UTC)", _last, is_prose=True),
)
