"""Candles, orders and books for the tests of matching; `way` is 1 for long and -1 for short."""

import pytest

from trading.orders.fill_terms import FillTerms
from trading.orders.matching import Bar, Book, Change, Resting, on_bar
from trading.orders.orders import Leg, OrderState, Side, client_order_id

MINUTE_MS = 60_000
FREE = FillTerms()
COSTLY = FillTerms(spread=0.4, slippage=0.1, commission_bps=5)  # a taker pays 0.3 beside the fee
LONG, SHORT = pytest.param(1, id="long"), pytest.param(-1, id="short")
both_sides = pytest.mark.parametrize("way", [LONG, SHORT])


def bar(minute: int, way: int, prices: tuple[float, float, float, float]) -> Bar:
    """Make a candle around 100; for a short position it is mirrored, so one table serves both sides."""
    opened, high, low, close = prices if way > 0 else tuple(200 - price for price in prices)
    return Bar(minute * MINUTE_MS, opened, max(high, low), min(high, low), close)


def shown(price: float, way: int) -> float:
    return price if way > 0 else 200 - price


def side(way: int) -> Side:
    return Side.BUY if way > 0 else Side.SELL


def entry(
    way: int, *, units: float = 2.0, minute: int = 1, stop: float | None = 95, target: float | None = 110
) -> Resting:
    return Resting(
        client_order_id("paper", "XAUUSD", f"s{minute}", minute * MINUTE_MS, Leg.ENTRY),
        Leg.ENTRY,
        side(way),
        units,
        100.0,
        minute * MINUTE_MS,
        None if stop is None else shown(stop, way),
        None if target is None else shown(target, way),
    )


def exit_order(way: int, *, units: float = 2.0, minute: int = 2) -> Resting:
    """Make the order that closes a position which goes `way`."""
    return Resting(f"exit-{minute}", Leg.EXIT, side(-way), units, 100.0, minute * MINUTE_MS)


def step(book: Book, candle: Bar, terms: FillTerms = FREE) -> Change:
    change = on_bar(book, candle, terms)
    assert change is not None, "the candle changed nothing"
    return change


def opened(way: int, terms: FillTerms = FREE, **order: float | None) -> Book:
    """Return a book that entered at 100 in minute 1."""
    return step(Book(orders=(entry(way, **order),)), bar(1, way, (100, 101, 99, 100)), terms).book  # type: ignore[arg-type]


def fills(change: Change) -> list[tuple[Leg, float]]:
    return [(execution.leg, execution.price) for execution in change.executions]


def settled(change: Change) -> list[tuple[str, OrderState]]:
    return [(order_id.split("-")[-2], state) for order_id, state, _ in change.settled]
