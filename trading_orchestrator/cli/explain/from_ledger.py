"""Explain a candle of a live run from journal, ledger and events."""

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
from trading.indicators.history import reaching_back
from trading.indicators.regime import Regime
from trading.market.candles import Candles
from trading.market.timeframes import Timeframe
from trading.orders.orders import OrderState
from trading.risk.verdict import checks_of
from trading.structs import replace
from trading_orchestrator.cli.context import Access
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.cli.explain.undecided import strategy_error, undecided_candle

_BEFORE_MS = 600_000
"""The search for a candle's events starts this long before its commit, because clocks may differ."""

_AFTER_MS = 3_600_000
"""The search ends this long after the commit of the last candle on which its order or position changed."""


def explain_live(access: Access, symbol: str, at_ms: int) -> list[Explanation]:
    """Explain the candle that contains a time, for each strategy of its symbol.

    Raises:
        UnknownSymbol: The symbol is not configured.
        Failed: No decision was recorded then; the message gives the reason.
    """
    access.known(symbol)
    assert access.ledger  # raises when its schema is not the required one
    timeframe = access.system.symbols[symbol].timeframe
    journal = JournalReader(access.redis, access.settings.namespace, symbol)
    entries = _entries(journal, symbol, access.system, at_ms)
    if entries and holds(entries[-1].open_ms, entries[-1].timeframe or timeframe, at_ms):
        entry, timeframe = entries[-1], entries[-1].timeframe or timeframe
        candles = _candles(access, symbol, entries)
    else:
        entry, candles = _unjournaled(access, journal, entries, symbol, at_ms)
    books = read_candle_books(
        access.engine,
        access.system.account.name,
        symbol,
        entry.open_ms,
        Timeframe.parse(timeframe).close_of(entry.open_ms) - 1,
        correlation_id=entry.correlation_id,
    )
    found = []
    strategies = access.system.symbols[symbol].books
    for context in terms_of(symbol, access.system):
        found.append(explain(_recorded(context, strategies, symbol, timeframe, entry, candles, books), context))
    events = _events(access, entry.correlation_id, *_event_range(journal, entry, books, found))
    return [replace(one, events=events) for one in found]


def _entries(journal: JournalReader, symbol: str, system: SystemConfig, at_ms: int) -> list[Entry]:
    """Return the entries up to a time that decide its values: more than usual if the market stood still."""
    lookback = lookback_of(symbol, system)
    return reaching_back(
        lambda count: journal.until(at_ms, count),
        lookback.history_count + 1,
        lambda entries: lookback.reach(candles_of(entries)),
    )


def _recorded(
    context: ExplainContext,
    strategies: Collection[str],
    symbol: str,
    timeframe: str,
    entry: Entry,
    candles: Candles,
    books: CandleBooks,
) -> CandleRecord:
    """Return the records of a candle and one strategy; all records when the symbol has only one."""
    caused = {row["id"]: row for row in books.decisions if row["correlation_id"] == entry.correlation_id}
    decided = {
        key: row for key, row in caused.items() if context.is_only_strategy or row["strategy"] == context.strategy_name
    }
    signaled = next((row for row in decided.values() if row["open_ms"] == entry.open_ms), None)
    own = [row["client_order_id"] for row in books.intents if row["decision_id"] in decided]
    return CandleRecord(
        symbol,
        timeframe,
        of_strategy(
            entry,
            context.strategy_name,
            _risk_record(signaled),
            has_signals=bool(caused),
            strategies=strategies,
        ),
        candles,
        _risk_record(signaled),
        own,
        [_order_outcome(row) for row in books.intents],
        [fill_of(row) for row in books.fills],
    )


def _candles(access: Access, symbol: str, entries: list[Entry]) -> Candles:
    """Return the recorded candles up to an entry: the journal's, preceded by the window's."""
    journaled = candles_of(entries)
    if not len(journaled):
        return journaled
    window = window_of(access.redis, access.settings.namespace, symbol)
    return window.until(int(journaled.open_ms[0]) - 1).then(journaled)


def _risk_record(row: Mapping[str, Any] | None) -> RiskDecisionRecord | None:
    if row is None:
        return None
    checks = checks_of(row.get("checks"))
    return RiskDecisionRecord(row["outcome"], row["rule"], row["reason"], checks)


def _order_outcome(row: Mapping[str, Any]) -> OrderOutcome:
    state = OrderState(row["state"])
    return OrderOutcome(
        request_of_intent(row), state, row["filled_units"], row["note"], row["venue_order_id"], row["attempt"]
    )


def _event_range(
    journal: JournalReader, entry: Entry, books: CandleBooks, found: Sequence[Explanation]
) -> tuple[int | None, int | None]:
    """Return the wall-clock range of a candle's events, in milliseconds; None for an unknown bound."""
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


def _unjournaled(
    access: Access, journal: JournalReader, before: list[Entry], symbol: str, at_ms: int
) -> tuple[Entry, Candles]:
    """Return a candle that the journal does not have: the ledger's decision, or one on which a strategy raised.

    Raises:
        Failed: There is neither.
    """
    if (entry := _from_ledger(access, symbol, at_ms)) is not None:
        return entry, Candles.empty()
    error = strategy_error(access, symbol)
    if error and (found := undecided_candle(access, symbol, at_ms, error)) is not None:
        return found
    why = _why_none(access.system, journal, before, symbol, at_ms, access.settings.journal_max_len)
    raise Failed(ExitCode.NO, f"no candle of {symbol} at {format_minute(at_ms)} UTC: {why}")


def _from_ledger(access: Access, symbol: str, at_ms: int) -> Entry | None:
    """Return an entry from the ledger's decision on a candle that is no longer in the journal; None without one."""
    timeframe = access.system.symbols[symbol].timeframe
    first_ms = at_ms - Timeframe.parse(timeframe).longest_ms + 1
    for row in decided_within(access.engine, access.system.account.name, symbol, first_ms, at_ms):
        cause = correlation_id(symbol, timeframe, row["open_ms"])
        return Entry(
            row["open_ms"],
            decisions_of(row["rule"], row["reason"]),
            Regime.UNKNOWN.value,
            row["correlation_id"] or cause,
        )
    return None


def _why_none(
    system: SystemConfig, journal: JournalReader, before: list[Entry], symbol: str, at_ms: int, journal_max_len: int
) -> str:
    """Return the reason why no decision was recorded at a time."""
    config, oldest, later = system.symbols[symbol], journal.oldest(), journal.after(at_ms)
    is_open: Callable[[int], bool] = config.session.may_be_open
    if oldest is None:
        return "no decision was recorded yet; check celery -A tasks trading status"
    if not before:
        return (
            f"its journal begins at {format_minute(oldest.open_ms)} UTC, and the ledger has no signal at that time; "
            f"a journal holds the newest {journal_max_len:,} candles (TRADING__JOURNAL_MAX_LEN)"
        )
    if later is None:
        return f"not decided yet; the newest decided candle is {format_minute(before[-1].open_ms)} UTC"
    if not is_open(at_ms):
        return f"the market was closed; it is open {config.session.hours}"
    first_ms = Timeframe.parse(config.timeframe).close_of(before[-1].open_ms)
    return f"a gap: the source had no candle between {format_minute(first_ms)} and {format_minute(later.open_ms)} UTC"
