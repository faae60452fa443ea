"""`trading orders`, `fills` and `positions`: show rows of the ledger."""

from collections.abc import Callable, Sequence
from typing import Any

import click
from msgspec import structs
from rich.text import Text

from trading.formatting import format_minute, format_money, format_price_cell, format_units_cell
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.output import MIDDLE, WIDE, Column, make_console, print_json, table
from trading_orchestrator.cli.params import Whole
from trading_orchestrator.launcher.console import profit

Row = dict[str, Any]

SYMBOL = click.argument("symbol", required=False, metavar="[SYMBOL]")
LIMIT = click.option(
    "-n", "--limit", type=Whole(1), default=20, show_default=True, metavar="N", help="Maximum number of rows."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")

STATE_STYLES = {"filled": "green", "rejected": "red", "unknown": "bold red", "canceled": "dim", "expired": "dim"}


@click.command()
@SYMBOL
@LIMIT
@JSON
def orders(symbol: str | None, limit: int, as_json: bool) -> None:
    """Show orders, newest last.

    Without SYMBOL, of all symbols. Includes orders that were never sent and protective orders (stop_loss, take_profit).
    """
    _show(
        lambda access: access.ledger.orders(symbol, limit)[::-1],
        symbol,
        lambda _: ORDERS,
        as_json=as_json,
        what="orders",
    )


@click.command()
@SYMBOL
@LIMIT
@JSON
def fills(symbol: str | None, limit: int, as_json: bool) -> None:
    """Show fills, newest last.

    Without SYMBOL, of all symbols.
    """
    _show(lambda access: access.ledger.fills(symbol, limit)[::-1], symbol, fill_columns, as_json=as_json, what="fills")


@click.command()
@SYMBOL
@click.option("--flat", is_flag=True, help="Include closed positions, with their realised profit.")
@JSON
def positions(symbol: str | None, flat: bool, as_json: bool) -> None:
    """Show the open positions in the ledger.

    Without SYMBOL, of all symbols. `status` shows their unrealised profit.
    """

    def read(access: Access) -> list[Row]:
        chosen = [place for place in access.ledger.positions() if symbol is None or place.symbol == symbol]
        return [structs.asdict(place) for place in chosen if flat or place.is_open]

    _show(read, symbol, position_columns, as_json=as_json, what="positions" if flat else "open positions")


def _show(
    read: Callable[[Access], list[Row]],
    symbol: str | None,
    columns: Callable[[int], Sequence[Column]],
    *,
    as_json: bool,
    what: str,
) -> None:
    with Access() as access:
        rows, decimals = read(access), access.system.account.money_decimals
        if not rows and symbol is not None:
            access.known(symbol)  # a symbol that is no longer configured may still have rows
    if as_json:
        print_json(rows)
        return
    console = make_console()
    if rows:
        console.show(table(columns(decimals), rows, width=console.width))
    else:
        console.show(Text(f"no {what}{f' of {symbol}' if symbol else ''}"))


def _order_state(row: Row) -> Text:
    return Text(row["state"], style=STATE_STYLES.get(row["state"], "yellow"))


def _filled(row: Row) -> str:
    return (
        f"{format_units_cell(row['filled_units'])} of {format_units_cell(row['units'])}"
        if row["units"]
        else format_units_cell(row["filled_units"])
    )


_TIME = Column("time (UTC)", lambda row: format_minute(row["market_ms"]))
_SYMBOL = Column("symbol", lambda row: row["symbol"], style="bold")
_SIDE = Column("side", lambda row: row["side"])
_LEG = Column("leg", lambda row: row["leg"])
_STOP = Column("stop", lambda row: format_price_cell(row["stop_loss"]), least_width=MIDDLE, is_number=True)
_TARGET = Column("target", lambda row: format_price_cell(row["take_profit"]), least_width=MIDDLE, is_number=True)
_STRATEGY = Column("strategy", lambda row: row["strategy"], least_width=WIDE)
_ORDER = Column("client order id", lambda row: row["client_order_id"], least_width=WIDE, style="dim")


ORDERS = (
    _TIME,
    _SYMBOL,
    _SIDE,
    _LEG,
    Column("filled", _filled, is_number=True),
    Column("state", _order_state),
    Column("decided at", lambda row: format_price_cell(row["reference_price"]), least_width=MIDDLE, is_number=True),
    _STOP,
    _TARGET,
    _STRATEGY,
    _ORDER,
)


def fill_columns(decimals: int) -> tuple[Column, ...]:
    return (
        _TIME,
        _SYMBOL,
        _SIDE,
        Column("leg", lambda row: f"{row['leg']}, adopted" if row.get("adjustment") else row["leg"]),
        Column("units", lambda row: format_units_cell(row["units"]), is_number=True),
        Column("price", lambda row: format_price_cell(row["price"]), is_number=True),
        Column("fee", lambda row: format_money(row["fee"], decimals), least_width=MIDDLE, is_number=True),
        Column("realised", lambda row: profit(row["realised"], decimals), is_number=True),
        _STRATEGY,
        _ORDER,
    )


def position_columns(decimals: int) -> tuple[Column, ...]:
    return (
        _SYMBOL,
        Column("units", lambda row: f"{row['units']:+g}" if row["units"] else "flat", is_number=True),
        Column("average", lambda row: format_price_cell(row["average_price"] or None), is_number=True),
        Column("opened (UTC)", lambda row: format_minute(row["opened_ms"] or None)),
        _STOP,
        _TARGET,
        Column("realised", lambda row: profit(row["realised"], decimals), is_number=True),
        Column("strategy", lambda row: row["strategy"]),
    )
