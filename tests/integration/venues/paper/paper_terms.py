"""Terms and orders for the tests of the paper venue."""

from typing import Any

from trading.market.candles import Candles
from trading.orders.fill_terms import FillTerms
from trading.orders.orders import Leg, OrderRequest, Side, client_order_id
from trading.structs import replace
from trading_orchestrator.testing.candles import SYMBOL

MINUTE_MS = 60_000
TERMS = FillTerms(spread=0.2, slippage=0.05, commission_bps=2)
START = 10_000.0


def candle(minute: int, opened: float, high: float, low: float, close: float) -> Candles:
    return Candles.from_rows([[minute * MINUTE_MS, opened, high, low, close, 1.0]])


def order(
    minute: int, side: Side = Side.BUY, *, leg: Leg = Leg.ENTRY, symbol: str = SYMBOL, **fields: Any
) -> OrderRequest:
    """Make an order decided at the open of `minute`, at 100."""
    name = client_order_id("paper", symbol, fields.get("strategy", "cross"), minute * MINUTE_MS, leg)
    return replace(OrderRequest(name, symbol, "cross", leg, side, 2.0, 100.0, minute * MINUTE_MS), **fields)
