"""What journal, ledger and events still know of one candle."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from adapters.backtest.read_recording import lookback_of, window_of
from adapters.ledger.queries.candle_history import CandleBooks, decided_within, read_candle_books
from adapters.ledger.rows import fill_of, request_of_intent
from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from adapters.symbol_store.journal import JournalReader
from adapters.wiring.explain_context import terms_of
from configs.loading import SystemConfig
from trading.backtest.explanation import (
    CandleRecord,
    EventRecord,
    ExplainContext,
    Explanation,
    OrderOutcome,
    RiskDecisionRecord,
    decisions_of,
    explain,
    holds,
    of_strategy,
)
from trading.events.event import Event, correlation_id
from trading.events.journal import Entry, candles_of
from trading.formatting import format_minute
from trading.indicators.regime import Regime
from trading.market.candles import Candles, timeframe_ms
from trading.orders.orders import OrderState
from trading.risk.verdict import Check
from trading.structs import replace
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed

_BEFORE_MS = 600_000
"""Events of a candle are looked for from so long before it was committed: clocks may differ."""

_AFTER_MS = 3_600_000
"""And until so long after the commit of the last candle that it led to something on."""


def explain_live(access: Access, symbol: str, at_ms: int) -> list[Explanation]:
    """Explain the candle that holds a time, for each strategy of its symbol.

    Raises:
        UnknownSymbol: It is not configured.
        Failed: Nothing was decided then; the message says why.
    """
    access.known(symbol)
    assert access.ledger  # in the schema that this code reads
    timeframe = access.system.symbols[symbol].timeframe
    journal = JournalReader(access.redis, access.settings.namespace, symbol)
    count = lookback_of(symbol, access.system).history_count + 1
    entries = journal.until(at_ms, count)
    if entries and holds(entries[-1].open_ms, entries[-1].timeframe or timeframe, at_ms):
        entry, timeframe = entries[-1], entries[-1].timeframe or timeframe
        candles = _candles(access, symbol, entries)
    else:
        entry = _from_ledger(access, journal, entries, symbol, at_ms)
        candles = Candles.empty()
    books = read_candle_books(
        access.engine,
        access.system.account.name,
        symbol,
        entry.open_ms,
        entry.open_ms + timeframe_ms(timeframe) - 1,
        correlation_id=entry.correlation_id,
    )
    found = []
    strategies = access.system.symbols[symbol].books
    for context in terms_of(symbol, access.system):
        found.append(explain(_recorded(context, strategies, symbol, timeframe, entry, candles, books), context))
    events = _events(access, entry.correlation_id, *_told_within(journal, entry, books, found))
    return [replace(one, events=events) for one in found]


def _recorded(
    context: ExplainContext,
    strategies: Collection[str],
    symbol: str,
    timeframe: str,
    entry: Entry,
    candles: Candles,
    books: CandleBooks,
) -> CandleRecord:
    """Return what is known of a candle and of one strategy; all there is where the symbol has no other."""
    asked = {row["id"]: row for row in books.decisions if row["correlation_id"] == entry.correlation_id}
    decided = {
        key: row for key, row in asked.items() if context.is_only_strategy or row["strategy"] == context.strategy_name
    }
    signaled = next((row for row in decided.values() if row["open_ms"] == entry.open_ms), None)
    own = [row["client_order_id"] for row in books.intents if row["decision_id"] in decided]
    return CandleRecord(
        symbol,
        timeframe,
        of_strategy(entry, context.strategy_name, _ruling(signaled), has_signals=bool(asked), strategies=strategies),
        candles,
        _ruling(signaled),
        own,
        [_fate(row) for row in books.intents],
        [fill_of(row) for row in books.fills],
    )


def _candles(access: Access, symbol: str, entries: list[Entry]) -> Candles:
    """Return the recorded candles up to an entry: those of the journal, and before them those of the window."""
    journaled = candles_of(entries)
    if not len(journaled):
        return journaled
    window = window_of(access.redis, access.settings.namespace, symbol)
    return window.until(int(journaled.open_ms[0]) - 1).then(journaled)


def _ruling(row: Mapping[str, Any] | None) -> RiskDecisionRecord | None:
    if row is None:
        return None
    told = tuple(Check(one["rule"], one["is_met"], one["reason"]) for one in row.get("checks") or ())
    return RiskDecisionRecord(row["outcome"], row["rule"], row["reason"], told)


def _fate(row: Mapping[str, Any]) -> OrderOutcome:
    state = OrderState(row["state"])
    return OrderOutcome(
        request_of_intent(row), state, row["filled_units"], row["note"], row["venue_order_id"], row["attempt"]
    )


def _told_within(
    journal: JournalReader, entry: Entry, books: CandleBooks, found: Sequence[Explanation]
) -> tuple[int | None, int | None]:
    """Return the wall clock from which and until which events of a candle may be; None where that is not known."""
    written = [row["written_at_ms"] for row in books.decisions]
    known = [entry.at_ms, *written] if entry.at_ms else written
    if not known:
        return None, None
    since_ms, until_ms = max(min(known) - _BEFORE_MS, 0), max(known) + _AFTER_MS
    orders = [order for one in found for order in one.orders]
    if not orders:
        return since_ms, until_ms
    trades = [trade for one in found for trade in one.trades]
    if any(not order.state.is_final for order in orders) or any(trade.exit_ms is None for trade in trades):
        return since_ms, None
    filled_ms = max((fill.market_ms for one in found for fill in one.fills), default=entry.open_ms)
    later = journal.after(max([filled_ms, *(trade.exit_ms or 0 for trade in trades)]))
    return since_ms, later.at_ms + _AFTER_MS if later and later.at_ms else None


def _events(access: Access, cause: str, since_ms: int | None, until_ms: int | None) -> list[EventRecord]:
    """Return the events of a candle that are still in the stream."""
    first = "-" if since_ms is None else f"{since_ms}-0"
    last = "+" if until_ms is None else f"{until_ms}"
    wanted = f'"correlation_id":"{cause}"'.encode()
    with talking_to_redis():
        answer = access.redis.xrange(keys.events(access.settings.namespace), first, last)
    found = []
    for _, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", answer):
        if wanted in fields[b"event"]:
            event = Event.model_validate_json(fields[b"event"])
            found.append(EventRecord(int(fields[b"at_ms"]), event.type.value, event.reason))
    return found


def _from_ledger(access: Access, journal: JournalReader, before: list[Entry], symbol: str, at_ms: int) -> Entry:
    """Make an entry of what the ledger decided on a candle that the journal does not have any more.

    Raises:
        Failed: It decided nothing either.
    """
    timeframe = access.system.symbols[symbol].timeframe
    first_ms = at_ms - timeframe_ms(timeframe) + 1
    for row in decided_within(access.engine, access.system.account.name, symbol, first_ms, at_ms):
        cause = correlation_id(symbol, timeframe, row["open_ms"])
        return Entry(
            row["open_ms"],
            decisions_of(row["rule"], row["reason"]),
            Regime.UNKNOWN.value,
            row["correlation_id"] or cause,
        )
    why = _why_none(access.system, journal, before, symbol, at_ms, access.settings.journal_max_len)
    raise Failed(ExitCode.NO, f"no candle of {symbol} at {format_minute(at_ms)} UTC: {why}")


def _why_none(
    system: SystemConfig, journal: JournalReader, before: list[Entry], symbol: str, at_ms: int, journal_max_len: int
) -> str:
    """Return why no candle was decided at a time."""
    config, oldest, later = system.symbols[symbol], journal.oldest(), journal.after(at_ms)
    length_ms = timeframe_ms(config.timeframe)
    is_open: Callable[[int], bool] = config.session.may_be_open
    if oldest is None:
        return "nothing was decided on it yet: celery -A tasks trading status shows how it stands"
    if not before:
        return (
            f"its journal reaches back to {format_minute(oldest.open_ms)} UTC, and the ledger knows of no signal then; "
            f"a journal holds the newest {journal_max_len:,} candles (TRADING__JOURNAL_MAX_LEN)"
        )
    if later is None:
        return f"the newest candle that was decided is that of {format_minute(before[-1].open_ms)} UTC: not yet"
    if not is_open(at_ms):
        return f"the market was closed; it is open {config.session.hours}"
    first_ms = before[-1].open_ms + length_ms
    return f"a gap: the source had no candle between {format_minute(first_ms)} and {format_minute(later.open_ms)} UTC"
