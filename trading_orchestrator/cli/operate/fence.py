"""`trading fence`: show and set the fence of a symbol, up to which its candles count as decided."""

import getpass
from collections.abc import Sequence
from typing import Any

import click
from msgspec import Struct
from rich.text import Text

from adapters import clock
from adapters.ledger.admin.fences import CURSOR, FenceChange, FenceReset
from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from adapters.symbol_store.redis import RedisSymbolStore
from adapters.wiring.market_time import ahead, market_time_ms
from trading.formatting import format_second, format_time
from trading.market.candles import is_on_grid
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.operate.control import require_redis
from trading_orchestrator.cli.output import Column, make_console, print_json, table
from trading_orchestrator.cli.params import CommandGroup, instant

RESETS_SHOWN = 20
_MINUTE_MS = 60_000


class FenceView(Struct, frozen=True):
    """Cursor and fences of one symbol. Times are milliseconds since the epoch, UTC.

    Attributes:
        cursor_ms: By Redis; None where it knows nothing of the symbol.
        fences: By strategy, by the ledger.
        market_ms: Present time of the market; None where its source never answered.
        ahead: Why the symbol decides nothing; empty where nothing lies in the future.
        resets: The newest resets, newest last.
    """

    symbol: str
    cursor_ms: int | None
    fences: dict[str, int]
    market_ms: int | None
    ahead: str
    resets: Sequence[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return the `--json` output."""
        return {
            "symbol": self.symbol,
            "cursor_ms": self.cursor_ms,
            "fences": [{"strategy": name, "fence_ms": at_ms} for name, at_ms in self.fences.items()],
            "market_ms": self.market_ms,
            "ahead": self.ahead,
            "resets": list(self.resets),
        }


@click.group(cls=CommandGroup)
def fence() -> None:
    """Show and set the fence of a symbol.

    The fence is the open time of the newest candle that was decided on; no earlier candle is decided again. The ledger
    keeps one for each strategy, and Redis the cursor of the symbol.
    """


@fence.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with an object for each symbol.")
def show(symbols: tuple[str, ...], as_json: bool) -> None:
    """Show cursor, fences and market time of symbols, and what operators have set.

    Without SYMBOL, of all symbols. Needs no running worker.
    """
    with Access() as access:
        names = [access.known(symbol) for symbol in symbols] or list(access.system.symbols)
        views = [read_fences(access, name) for name in names]
    if as_json:
        print_json([view.as_dict() for view in views])
    else:
        _show(views)


@fence.command()
@click.argument("symbol")
@click.option(
    "--to", "to_ms", required=True, callback=instant, metavar="TIME", help="Open time of the last candle decided."
)
@click.option("--reason", required=True, help="Reason to record in the ledger.")
@click.option("--by", default=getpass.getuser, show_default="the user of this shell", help="Operator to record.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def reset(symbol: str, to_ms: int, reason: str, by: str, as_json: bool) -> None:
    """Set the fences of a symbol to a candle: the next one is the first to be decided.

    Candles with a recorded decision are not decided again. The symbol reads its window from its source anew, from the
    next tick on. Needs no running worker.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; state the finding and the action taken")
    with Access() as access:
        config = access.system.symbols[access.known(symbol)]
        require_redis(access)
        before = read_fences(access, symbol)
        _check_time(before, config.timeframe, to_ms)
        request = FenceReset(symbol, to_ms, reason, by)
        changes = access.ledger.reset_fences(request, cursor_ms=before.cursor_ms, strategies=list(config.books))
        store = _store(access)
        store.discard_future(symbol, after_ms=to_ms if before.market_ms is None else before.market_ms)
        store.request_restart(symbol)
    if as_json:
        print_json({"symbol": symbol, "to_ms": to_ms, "changes": [one.as_dict() for one in changes]})
    else:
        _print_changes(symbol, to_ms, changes)


def read_fences(access: Access, symbol: str) -> FenceView:
    """Return cursor, fences and market time of a configured symbol."""
    config, now_ms = access.system.symbols[symbol], clock.now_ms()
    with talking_to_redis():
        found: Any = access.redis.hgetall(keys.state(access.settings.namespace, symbol))
    state = {name.decode(): value.decode() for name, value in found.items()}
    return FenceView(
        symbol,
        int(state["cursor_ms"]) if "cursor_ms" in state else None,
        dict(access.ledger.fences_of(symbol)),
        market_time_ms(config, state, now_ms),
        ahead(symbol, config, state, access.ledger.fence(symbol), now_ms),
        access.ledger.fence_resets(symbol, RESETS_SHOWN)[::-1],
    )


def _check_time(before: FenceView, timeframe: str, to_ms: int) -> None:
    known = (before.cursor_ms, *before.fences.values())
    phases_ms = {0, *(ms for ms in known if ms is not None and ms % _MINUTE_MS == 0)}  # hours may begin at 09:30
    if not any(is_on_grid(to_ms, timeframe, phase_ms) for phase_ms in phases_ms):
        raise click.UsageError(f"--to {format_time(to_ms)}: no candle of {timeframe} opens then")
    if before.market_ms is not None and to_ms > before.market_ms:
        raise click.UsageError(
            f"--to {format_time(to_ms)} lies in the future; the market of {before.symbol} is at "
            f"{format_time(before.market_ms)}"
        )


def _store(access: Access) -> RedisSymbolStore:
    settings = access.settings
    limits = {
        "window_limit": settings.window_max_len,
        "journal_limit": settings.journal_max_len,
        "events_limit": settings.events_max_len,
    }
    return RedisSymbolStore(access.redis, settings.namespace, **limits, now_ms=clock.now_ms)


def _print_changes(symbol: str, to_ms: int, changes: Sequence[FenceChange]) -> None:
    for one in changes:
        before = "none" if one.before_ms is None else format_time(one.before_ms)
        click.echo(f"{symbol}: {_name(one.strategy)}: {before} -> {format_time(one.after_ms)}")
    click.echo(f"{symbol} decides on candles after {format_time(to_ms)} from its next tick on")


def _show(views: Sequence[FenceView]) -> None:
    console = make_console()
    rows = [
        {"symbol": view.symbol, "what": _name(strategy), "at_ms": at_ms, "market_ms": view.market_ms}
        for view in views
        for strategy, at_ms in ({CURSOR: view.cursor_ms} | view.fences).items()
    ]
    console.show(table(COLUMNS, rows, width=console.width))
    for view in views:
        if view.ahead:
            console.show(Text(view.ahead, style="bold red"))
    resets = [one for view in views for one in view.resets]
    if resets:
        console.show(table(RESETS, resets, width=console.width))


def _name(strategy: str) -> str:
    return "cursor" if strategy == CURSOR else f"fence of {strategy}"


def _time(at_ms: int | None) -> str:
    return "none" if at_ms is None else format_second(at_ms)


COLUMNS = (
    Column("symbol", lambda row: row["symbol"], style="bold"),
    Column("of", lambda row: row["what"]),
    Column("candle (UTC)", lambda row: _time(row["at_ms"])),
    Column("market time (UTC)", lambda row: _time(row["market_ms"])),
)
RESETS = (
    Column("set at (UTC)", lambda row: _time(row["written_at_ms"])),
    Column("symbol", lambda row: row["symbol"], style="bold"),
    Column("of", lambda row: _name(row["strategy"])),
    Column("from", lambda row: _time(row["before_ms"])),
    Column("to", lambda row: _time(row["after_ms"])),
    Column("by", lambda row: row["by"]),
    Column("reason", lambda row: row["reason"], is_prose=True),
)
