"""`trading events`: show and follow the event stream."""

import json
import time
from collections.abc import Callable, Iterator, Sequence

import click
from rich.table import Table
from rich.text import Text

from adapters.redis.event_bus import RedisEventBus
from trading.errors import Transient
from trading.events.event import LOCAL_ONLY, Event, EventType
from trading.formatting import format_minute, format_second
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.inspect.books import LIMIT
from trading_orchestrator.cli.output import MIDDLE, WIDE, Output, make_console

Entry = tuple[str, int, Event]
"""Stream id, wall time in milliseconds since the epoch, event."""

RETRY_PAUSE_S = 1.0
FAILURES = {"DATA_FETCH_FAILED", "TRADE_FAILED", "SERVICE_ERROR", "RISK_LIMIT_BREACHED", "STOP_LOSS_HIT"}
TYPES = sorted(kind.value for kind in EventType if kind not in LOCAL_ONLY)
TYPE_COLUMNS = max(map(len, TYPES))


class _EventName(click.Choice[str]):
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(value.upper(), param, ctx)


@click.command()
@LIMIT
@click.option("-f", "--follow", is_flag=True, help="Follow new events until Ctrl-C.")
@click.option("--symbol", "symbols", multiple=True, metavar="SYMBOL", help="Only this symbol; repeatable.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    type=_EventName(TYPES),
    help="Only this event type, such as ORDER_FILLED; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def events(limit: int, follow: bool, symbols: tuple[str, ...], types: tuple[str, ...], as_json: bool) -> None:
    """Show events, newest last.

    NEW_CANDLE and INDICATORS_UPDATED occur on every candle and are not published.
    """
    with Access() as access:
        chosen = {access.known(symbol) for symbol in symbols}
        longest = max(map(len, access.system.symbols))
        bus = RedisEventBus(access.redis, access.settings.namespace, events_limit=access.settings.events_max_len)
        show = _json_line if as_json else _Lines(make_console(), longest)

        def is_shown(event: Event) -> bool:
            return (not chosen or event.symbol in chosen) and (not types or event.type in types)

        entries, after = newest(bus, limit, is_shown)
        for entry in entries:
            show(entry)
        if not entries and not follow and not as_json:
            click.echo("no events", err=True)
        if follow:
            _follow(bus, after, is_shown, show)


def newest(bus: RedisEventBus, limit: int, is_shown: Callable[[Event], bool]) -> tuple[Sequence[Entry], str]:
    """Return the newest `limit` matching events, oldest first, and the stream id from which to continue."""
    count = limit
    while True:
        entries = bus.recent(count)
        found = [entry for entry in entries if is_shown(entry[2])]
        if len(found) >= limit or len(entries) < count:
            return found[-limit:], entries[-1][0] if entries else "0"
        count *= 8


def _follow(bus: RedisEventBus, after: str, is_shown: Callable[[Event], bool], show: Callable[[Entry], None]) -> None:
    try:
        for entry in _lasting(bus, after):
            if is_shown(entry[2]):
                show(entry)
    except KeyboardInterrupt:
        return


def _lasting(bus: RedisEventBus, after: str) -> Iterator[Entry]:
    """Yield events without end; when Redis fails, report it once, then continue where the stream broke off."""
    is_away = False
    while True:
        try:
            for entry in bus.follow(after):
                if is_away:
                    click.echo("Redis is available again", err=True)
                    is_away = False
                if entry is not None:
                    after = entry[0]
                    yield entry
        except Transient as error:
            if not is_away:
                click.echo(f"{error}; retrying until Ctrl-C", err=True)
            is_away = True
            time.sleep(RETRY_PAUSE_S)


def _json_line(entry: Entry) -> None:
    identity, at_ms, event = entry
    click.echo(json.dumps({"id": identity, "at_ms": at_ms, **event.model_dump(mode="json")}, allow_nan=False))


class _Lines:
    """Prints each event as a line; in a terminal a long reason wraps."""

    def __init__(self, console: Output, symbol_columns: int) -> None:
        self._console = console
        self._symbol_columns = max(symbol_columns, len("account"))

    def __call__(self, entry: Entry) -> None:
        _, at_ms, event = entry
        at = format_second(at_ms)
        width = self._console.width
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        when = f"{at}Z" if width >= MIDDLE else f"{at[-8:]}Z"
        cells = [(when, len(when), "dim")]
        if width >= WIDE:
            market = f"market {format_minute(event.market_ms)}Z" if event.market_ms else ""
            cells.append((market, len("market 2025-01-01 00:00Z"), "dim"))
        cells.append((event.symbol or "account", self._symbol_columns, "bold"))
        cells.append((event.type.value, TYPE_COLUMNS, "red" if event.type in FAILURES else "cyan"))
        for _, columns, style in cells:
            grid.add_column(width=columns, no_wrap=True, style=style)
        grid.add_column(ratio=1, overflow="fold")
        grid.add_row(*(Text(text) for text, _, _ in cells), Text(event.reason))
        self._console.show(grid)
