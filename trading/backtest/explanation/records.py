"""The records of a candle and its surroundings, from which an explanation is made."""

from collections.abc import Collection, Sequence

from msgspec import Struct

from trading.events.journal import Entry
from trading.formatting import MONEY_DECIMALS
from trading.market.candles import Candles
from trading.orders.orders import Fill, OrderRequest, OrderState
from trading.risk.signal_filters import EntryRules
from trading.risk.verdict import Check
from trading.strategies import Strategy


class ExplainContext(Struct, frozen=True):
    """The present configuration of a symbol's decisions.

    Attributes:
        config: Short digest of the configuration.
        is_only_strategy: The symbol has no other strategy.
        money_decimals: Decimals of money in the account's currency.
    """

    strategy_name: str
    strategy: Strategy
    entry_rules: EntryRules
    recent_rows_limit: int
    min_rows_required: int
    config: str = ""
    is_only_strategy: bool = True
    money_decimals: int = MONEY_DECIMALS


class RiskDecisionRecord(Struct, frozen=True):
    """The risk rules' decision about a signal: outcome `accepted`, `refused` or `dry`, and the rule that decided."""

    outcome: str
    rule: str
    reason: str
    checks: tuple[Check, ...] = ()


class OrderOutcome(Struct, frozen=True):
    """A decided order and its state; `note` explains the state."""

    request: OrderRequest
    state: OrderState
    filled_units: float
    note: str | None = None
    venue_order_id: str | None = None
    attempt: int | None = None


class EventRecord(Struct, frozen=True):
    """An event: wall clock in milliseconds since the epoch, type, and reason."""

    at_ms: int
    type: str
    reason: str


class CandleRecord(Struct, frozen=True):
    """The available records of a candle.

    Attributes:
        entry: Its journal entry, or the decision of a backtest.
        candles: The recorded candles up to and including it.
        ruling: None if the strategy gave no signal, or the ledger has no decision.
        own: Ids of the orders decided at this candle.
        orders: Orders of the symbol: at least this candle's, and those of the positions that they opened or closed.
        fills: Fills of the same positions from flat to flat, possibly more, in booking order.
        events: Its events, as far as they are stored; None for a backtest, which creates none.
    """

    symbol: str
    timeframe: str
    entry: Entry
    candles: Candles
    ruling: RiskDecisionRecord | None = None
    own: Collection[str] = ()
    orders: Sequence[OrderOutcome] = ()
    fills: Sequence[Fill] = ()
    events: Sequence[EventRecord] | None = None
