"""Symbols, candles and commits that each part of the contract uses."""

from trading.events.decisions import CandleDecision, DecisionKind
from trading.events.event import Event, EventType
from trading.indicators.regime import Regime
from trading.lifecycle import DesiredState
from trading.market.candles import Candles
from trading.market.feed_health import FeedSnapshot
from trading.ports.symbol_store import Commit, SymbolSnapshot, SymbolStore
from trading_orchestrator.testing.candles import START_MS, at_place, make_candles

SYMBOL, OTHER = "XAUUSD", "BTCUSD"
TAPE = make_candles(60)
FILLED = Event(type=EventType.ORDER_FILLED, symbol=SYMBOL, market_ms=START_MS, details={"price": 1.5})
NOTHING_KNOWN = SymbolSnapshot(None, DesiredState.RUNNING, has_exposure=True, regime=Regime.UNKNOWN, generation=0)


def commit_of(
    first: int,
    last: int,
    *,
    symbol: str = SYMBOL,
    text: str = "decided",
    has_exposure: bool | None = None,
    snapshot: FeedSnapshot | None = None,
) -> Commit:
    """Return the commit of the candles at the places `first` to `last`, the last one included."""
    candles = TAPE[first : last + 1]
    kind = DecisionKind.ACCEPTED
    decisions = [(CandleDecision(kind, reason=f"{text} {place}"),) for place in range(first, last + 1)]
    return Commit(symbol, "1m", 0, candles, decisions, [Regime.RANGING] * len(candles), has_exposure, snapshot)


def begin(store: SymbolStore, until: int = 9, *, symbol: str = SYMBOL) -> None:
    """Seed a symbol with the candles up to the place `until`."""
    history = TAPE[: until + 1]
    store.seed(symbol, history, timeframe="1m", cursor_ms=history.last_open_ms, desired=DesiredState.RUNNING)


def stored(store: SymbolStore, count: int = 1_000) -> Candles:
    return store.window(SYMBOL, count, until_ms=at_place(1_000))
