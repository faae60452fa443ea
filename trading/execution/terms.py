"""The configured terms under which one symbol's orders are executed."""

from msgspec import Struct

from trading.events.event import correlation_id
from trading.lifecycle import UnprotectedPolicy
from trading.orders.orders import OrderRequest, decided_open_ms


class ExecutionTerms(Struct, frozen=True):
    """The terms of one symbol.

    Attributes:
        account: Name of the account, part of each order's id.
        max_signal_age_ms: An entry whose decision is older than this, in market time, is no longer sent.
        is_dry_run: Decisions are recorded; no order is sent, moved or cancelled.
        unit_step: Smallest unit step of its strategies, in units; 0.0 where it is not known.
        is_only_strategy: The symbol has one strategy, so the journal does not name it.
        on_unprotected: Policy for a position whose stop is not at the venue.
        most_comparisons: Most comparisons of ledger and venue in one call of `OrderManager.settle`.
    """

    account: str
    symbol: str
    timeframe: str
    max_signal_age_ms: int
    is_dry_run: bool = False
    unit_step: float = 0.0
    is_only_strategy: bool = True
    on_unprotected: UnprotectedPolicy = "alert"
    most_comparisons: int = 30

    def correlation_id(self, open_ms: int) -> str:
        """Return the correlation id of the candle that opened at `open_ms`."""
        return correlation_id(self.symbol, self.timeframe, open_ms)

    def order_correlation_id(self, request: OrderRequest) -> str:
        """Return the correlation id of the candle on which an order was decided."""
        return self.correlation_id(decided_open_ms(request.client_order_id))

    def journal_name(self, strategy: str) -> str:
        """Return the name of a strategy in the journal; empty where the symbol has no other strategy."""
        return "" if self.is_only_strategy else strategy
