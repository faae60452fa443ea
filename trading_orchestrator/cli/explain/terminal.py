"""Terminal page of `trading explain`."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from trading.backtest.explanation import Explanation, OrderOutcome
from trading.backtest.headline import HeadlineKind
from trading.backtest.result import Trade
from trading.events.decisions import describe, is_of_stops
from trading.formatting import format_minute, format_money, format_price_cell, format_second, format_units_cell
from trading.orders.orders import Fill
from trading_orchestrator.cli.inspect.books import STATE_STYLES
from trading_orchestrator.cli.output import make_console
from trading_orchestrator.launcher.console import profit

_LABEL_COLUMNS = 10


def show(found: Explanation, *, is_named: bool = False) -> None:
    """Print an explanation on one page.

    Args:
        is_named: Name the strategy, because its symbol has others.
    """
    console = make_console()
    page = Table.grid(padding=(0, 2, 0, 0), expand=True)
    page.add_column(width=_LABEL_COLUMNS, no_wrap=True, style="dim")
    page.add_column(ratio=1, overflow="fold")
    for label, cells in _sections(found, is_named=is_named):
        for number, cell in enumerate(cells):
            page.add_row("" if number else label, cell)
    head = Text(f"{found.symbol} {found.timeframe} {format_minute(found.entry.open_ms)} UTC", style="bold")
    style = "green" if found.headline.kind is HeadlineKind.TRADED else "yellow"
    console.show(Text.assemble(head, "  ", (str(found.headline), style)))
    console.show(page)


def _sections(found: Explanation, *, is_named: bool) -> Iterator[tuple[str, Sequence[RenderableType]]]:
    yield "candle", [_candle(found)]
    yield "indicators", [_values(found)] if any(one.now is not None for one in found.values) else ["-"]
    yield "regime", [found.entry.regime]
    yield "strategy", [f"{found.strategy}: {found.signal_text}" if is_named else found.signal_text]
    if found.ruling is not None:
        yield "rules", [_check(one.rule, one.reason, is_met=one.is_met) for one in found.checks]
    yield "decision", [_decision(found)]
    if found.orders:
        yield "orders", [line for one in found.orders for line in _order(one, found)]
    if found.trades:
        yield "position", [_trade(one, found.money_decimals) for one in found.trades]
    if found.events is not None:
        yield "events", [_event(one.at_ms, one.type, one.reason) for one in found.events] or ["none in the stream"]
    yield "id", [found.entry.correlation_id]
    if found.notes:
        yield "notes", [Text(note, style="yellow") for note in found.notes]


def _candle(found: Explanation) -> str:
    entry = found.entry
    if entry.values is None:
        return (
            f"close {format_price_cell(entry.close)}; the rest was not recorded"
            if entry.close
            else "no longer in the journal"
        )
    names = ("open", "high", "low", "close")
    text = ", ".join(f"{name} {format_price_cell(value)}" for name, value in zip(names, entry.values, strict=False))
    seen = f"; seen at market time {format_second(entry.as_of_ms)} UTC" if entry.as_of_ms is not None else ""
    return f"{text}, volume {entry.values[-1]:g}{seen}"


def _values(found: Explanation) -> Table:
    drawn = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "left", "right", "left"):
        drawn.add_column(justify=justify)
    for one in found.values:
        before = f"previous candle {one.before:.6g}" if one.before is not None else ""
        drawn.add_row(one.name, one.indicator, "-" if one.now is None else f"{one.now:.6g}", Text(before, style="dim"))
    return drawn


def _check(rule: str, reason: str, *, is_met: bool) -> Text:
    mark, style = ("met    ", "green") if is_met else ("not met", "red")
    return Text.assemble((mark, style), "  ", (rule, "bold"), f"  {reason}")


def _decision(found: Explanation) -> str:
    risk_decision = found.ruling
    if risk_decision is None:
        text = describe(found.entry.decisions)
        return text if is_of_stops(found.entry.decisions) else f"{text}: the rules were not checked"
    by = "" if risk_decision.rule == "ok" else f" by {risk_decision.rule}"
    return f"{risk_decision.outcome}{by}: {risk_decision.reason}"


def _order(order: OrderOutcome, found: Explanation) -> Iterator[Text]:
    request, fills, decimals = order.request, found.fills, found.money_decimals
    state = (order.state.value, STATE_STYLES.get(order.state.value, "yellow"))
    note = f", {order.note}" if order.note else ""
    yield Text.assemble(
        f"{request.leg.value} {request.side.value} {format_units_cell(request.units)} ",
        f"decided at {format_price_cell(request.reference_price)}: ",
        state,
        f", {format_units_cell(order.filled_units)} filled{note}  ",
        (request.client_order_id, "dim"),
    )
    yield from _fills(request.client_order_id, fills, decimals)
    for one in found.protective:
        if one.client_order_id.rpartition("-")[2] == request.client_order_id.rpartition("-")[2]:
            yield Text.assemble(
                f"  {one.leg.value} at {format_price_cell(one.price)}: {one.state}  ", (one.client_order_id, "dim")
            )
            yield from _fills(one.client_order_id, fills, decimals)


def _fills(client_order_id: str, fills: Sequence[Fill], decimals: int) -> Iterator[Text]:
    for fill in fills:
        if fill.client_order_id == client_order_id:
            text = (
                f"{fill.side.value} {format_units_cell(fill.units)} at {format_price_cell(fill.price)}, fee "
                f"{format_money(fill.fee, decimals)}"
            )
            yield Text(f"    filled {format_second(fill.market_ms)} UTC: {text}")


def _trade(trade: Trade, decimals: int) -> Text:
    opened = (
        f"{trade.side.value} {format_units_cell(trade.units)} at {format_price_cell(trade.entry_price)} "
        f"on {format_minute(trade.entry_ms)} UTC"
    )
    if trade.exit_ms is None:
        return Text(f"{opened}; still open")
    how = (trade.exit_reason or "").replace("_", " ")
    text = f"{opened}; closed by {how} at {format_price_cell(trade.exit_price)} on {format_minute(trade.exit_ms)} UTC, "
    return Text.assemble(text, profit(trade.profit, decimals), f" after {format_money(trade.fees, decimals)} fees")


def _event(at_ms: int, kind: str, reason: str) -> Text:
    return Text.assemble((f"{format_second(at_ms)}  ", "dim"), (f"{kind}  ", "cyan"), reason)
