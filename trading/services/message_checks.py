"""Checks of the messages that a stage receives, before anything moves.

Whatever comes through the broker is input: it is compared with the configuration, with the market time that this
process can vouch for, with the symbol store, and with itself.
"""

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from trading.errors import InvalidMessage
from trading.events.messages import IndicatorsUpdated, Message, SignalGenerated
from trading.formatting import format_price, format_time
from trading.market.candles import CLOSE, Candles, first_fault
from trading.ports.symbol_store import SymbolStore
from trading.strategies.signal import Signal

MarketLimit = Callable[[int], int | None]
"""Returns the latest market time possible now, milliseconds since the epoch, UTC; None where that is not known.

Its argument is the open time of the last candle decided, 0 for none: a market that waits for its reader goes by it.
"""


class MessageTerms(Struct, frozen=True):
    """The values that a message of one symbol must agree with.

    Attributes:
        strategies: Names of the symbol's strategies.
        columns: Names of the indicators, in the order of the rows.
        most_candles: Most candles in one message.
        most_rows: Most rows in one message.
        repeats_last: A message may hold the last decided candle again.
        phase_ms: Time after a full unit of the timeframe's grid at which the candles begin.
        allow_non_positive: Prices may be zero or negative.
    """

    symbol: str
    timeframe: str
    strategies: frozenset[str]
    columns: tuple[str, ...]
    most_candles: int
    most_rows: int
    repeats_last: bool = False
    phase_ms: int = 0
    allow_non_positive: bool = False


class MessageChecks:
    """Checks the messages of one symbol; each method raises InvalidMessage for the first fault."""

    def __init__(self, terms: MessageTerms, store: SymbolStore, latest_ms: MarketLimit) -> None:
        """Make the checks.

        Args:
            store: Read for messages that move orders.
            latest_ms: The market's clock, as far as this process knows it without the message.
        """
        self._terms = terms
        self._store = store
        self.latest_ms = latest_ms

    def candles(self, message: Message) -> None:
        """Check what each message carries: symbol, timeframe, candles, market time."""
        self._check_origin(message)
        self._check_candles(message)
        self._check_time(message)

    def rows(self, message: IndicatorsUpdated) -> None:
        """Check the indicator rows against the candles and the configured indicators."""
        rows, candles = message.rows, message.candles
        _require(rows.columns == self._terms.columns, "message_rows", _columns(rows.columns, self._terms.columns))
        most = self._terms.most_rows + len(candles)
        _require(len(rows) <= most, "message_rows", f"{len(rows)} rows; at most {most} are expected")
        is_ordered = bool((np.diff(rows.open_ms) > 0).all())
        _require(is_ordered, "message_rows", "the rows are not in ascending order of their candles")
        own = rows.since(int(candles.open_ms[0]))
        of_rows = candles[max(0, len(candles) - len(own)) :]
        is_same = np.array_equal(own.open_ms, of_rows.open_ms) and np.array_equal(
            own.values[:, 0], of_rows.values[:, CLOSE]
        )
        _require(is_same, "message_rows", "time or close of a row differs from its candle")
        self._count("regimes", len(message.regimes), len(candles))

    def signals(self, message: SignalGenerated) -> None:
        """Check that each signal is of a configured strategy, on a candle of the message and at its close."""
        self._count("regimes", len(message.regimes), len(message.candles))
        self._count("decisions", len(message.decisions), len(message.candles))
        seen: set[tuple[str, int]] = set()
        before_ms = 0
        for signal in message.signals:
            self._check_signal(signal, message)
            name = (signal.strategy, signal.open_ms)
            _require(name not in seen, "message_signal", f"two signals of {_of(signal)}")
            _require(signal.open_ms >= before_ms, "message_signal", "the signals are not in order of their candles")
            seen.add(name)
            before_ms = signal.open_ms

    def in_store(self, message: Message) -> str:
        """Check a message against cursor and window of the store.

        Returns:
            Why the message is outdated: the store lost what it builds upon, and it is fetched again. Else empty.
        """
        snapshot = self._store.load(message.symbol)
        if snapshot.cursor_ms is None or snapshot.cursor_ms < message.after_ms:
            return "the store no longer has the candles before these"
        known = message.candles.until(snapshot.cursor_ms)
        if len(known):
            stored = self._store.window(message.symbol, len(known), until_ms=known.last_open_ms)
            self._check_stored(known, stored)
        return ""

    def _check_origin(self, message: Message) -> None:
        terms = self._terms
        _require(message.symbol == terms.symbol, "message_symbol", _differs(message.symbol, terms.symbol))
        is_same = message.timeframe == terms.timeframe
        _require(is_same, "message_timeframe", _differs(message.timeframe, terms.timeframe))
        _require(not message.is_replay, "message_replay", "a replay sends no messages")

    def _check_candles(self, message: Message) -> None:
        candles, most = message.candles, self._terms.most_candles
        _require(len(candles) <= most, "message_size", f"{len(candles)} candles; at most {most} are expected")
        terms = self._terms
        fault = first_fault(
            candles,
            timeframe=terms.timeframe,
            phase_ms=terms.phase_ms,
            allow_non_positive=terms.allow_non_positive,
        )
        _require(fault is None, "message_candle", str(fault))
        is_repeat = self._terms.repeats_last and len(candles) == 1
        first_ms = int(candles.open_ms[0])
        if first_ms <= message.after_ms and not is_repeat:
            reason = f"the candle of {format_time(first_ms)} was decided: the message follows {message.after_ms}"
            raise InvalidMessage("message_order", reason)

    def _check_time(self, message: Message) -> None:
        """Check that the candles had begun when the source answered, and that no time is in the future."""
        as_of_ms, latest_ms = message.as_of_ms, self.latest_ms(message.after_ms)
        newest_ms = max(message.last_open_ms, message.newest_ms)
        if newest_ms >= as_of_ms:
            reason = f"the candle of {format_time(newest_ms)} begins after the market time {format_time(as_of_ms)}"
            raise InvalidMessage("message_time", reason)
        closed_ms = message.closed_ms
        if closed_ms is not None and not message.last_open_ms < closed_ms <= as_of_ms:
            reason = f"the candle of {format_time(message.last_open_ms)} cannot end at {format_time(closed_ms)}"
            raise InvalidMessage("message_time", reason)
        if latest_ms is not None and as_of_ms > latest_ms:
            reason = f"market time {format_time(as_of_ms)} lies in the future; it is {format_time(latest_ms)} at most"
            raise InvalidMessage("message_time", reason)

    def _check_signal(self, signal: Signal, message: SignalGenerated) -> None:
        candles = message.candles
        is_configured = signal.strategy in self._terms.strategies
        allowed = ", ".join(sorted(self._terms.strategies))
        _require(is_configured, "message_strategy", f"strategy {signal.strategy[:60]!r}; configured are: {allowed}")
        at = int(candles.open_ms.searchsorted(signal.open_ms))
        is_there = at < len(candles) and int(candles.open_ms[at]) == signal.open_ms
        _require(is_there, "message_signal", f"no candle of the message belongs to the signal of {_of(signal)}")
        close = float(candles.values[at, CLOSE])
        if signal.price != close:
            prices = f"{format_price(signal.price)}; the candle closed at {format_price(close)}"
            raise InvalidMessage("message_signal", f"the price of the signal of {_of(signal)} is {prices}")
        ends_ms = message.close_of(signal.open_ms)
        if signal.closed_ms not in (None, ends_ms):
            found = f"{format_time(signal.closed_ms)}; its candle ends at {format_time(ends_ms)}"
            raise InvalidMessage("message_signal", f"the signal of {_of(signal)} was decided at {found}")

    def _count(self, what: str, count: int, candles: int) -> None:
        _require(count == candles, "message_size", f"{count} {what} for {candles} candles")

    def _check_stored(self, known: Candles, stored: Candles) -> None:
        """Check decided candles against those of the window that opened at the same times."""
        same, in_message, in_store = np.intersect1d(known.open_ms, stored.open_ms, return_indices=True)
        differ = (known.values[in_message] != stored.values[in_store]).any(axis=1)
        if differ.any():
            open_ms = int(same[int(differ.argmax())])
            raise InvalidMessage("message_store", f"the candle of {format_time(open_ms)} differs from the stored one")


def _require(is_met: bool, rule: str, reason: str) -> None:  # the condition itself
    if not is_met:
        raise InvalidMessage(rule, reason)


def _differs(found: str, expected: str) -> str:
    return f"found {found[:60]!r}; expected {expected!r}"


def _columns(found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    return f"found {len(found)} indicators {', '.join(found)[:120]}; expected {', '.join(expected)}"


def _of(signal: Signal) -> str:
    return f"{signal.strategy} at {format_time(signal.open_ms)}"
