"""The decision on a candle as values, and the text that a person reads of them.

Messages, journal and stores carry the values. Text is made at the edge alone (command line, pages, logs), by
`describe`; no code reads it back. Sentences that version 0.1.0 stored are read in `trading.events.legacy_text`.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from itertools import groupby

import msgspec
from msgspec import Struct

from trading.formatting import format_price
from trading.strategies.signal import signal_words


class DecisionKind(StrEnum):
    """The kind of a decision on a candle."""

    NO_SIGNAL = "no_signal"
    TOO_FEW_ROWS = "too_few_rows"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    SIGNAL = "signal"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DECIDED_BEFORE = "decided_before"
    STOP_MOVED = "stop_moved"
    STOP_KEPT = "stop_kept"
    UNKNOWN = "unknown"


_NOT_EVALUATED = frozenset({DecisionKind.QUARANTINED, DecisionKind.FAILED})
STOP_KINDS = frozenset({DecisionKind.STOP_MOVED, DecisionKind.STOP_KEPT})


class RecordedSignal(Struct, frozen=True):
    """The signal behind a decision.

    Attributes:
        side: `buy`, `sell` or `close`.
        price: Close of its candle, in quote currency.
        reason: Of the strategy.
    """

    side: str
    price: float
    reason: str


class CandleDecision(Struct, frozen=True, omit_defaults=True):
    """One decision on one candle; a candle has one for each signal and for each stop that an exit rule looked at.

    Attributes:
        kind: `NO_SIGNAL`, `TOO_FEW_ROWS`, `QUARANTINED` and `FAILED` are of all strategies. `FAILED` is a candle that
            is not decided, because a strategy raised; it is never stored. `SIGNAL` was given and not yet decided on.
            `UNKNOWN` is an old text that names no kind.
        strategy: Name of its book; empty where the symbol has one strategy alone, or it is of all of them.
        reason: Why, for a person: of the risk rules for `ACCEPTED` and `REJECTED`, of the exit rule for a stop.
        rule: Of the risk rules or of the signal filters, the one that rejected it.
        exit_rule: Id of the exit rule that asked for the exit or the stop; empty where none did.
        signal: None for a stop, and for an exit that an exit rule asked for.
        stop_before: Where the stop rested, in quote currency; None for no stop.
        stop_after: Where a moved stop is to rest, in quote currency.
        refusal: Why ledger or venue kept the stop where it was.
        row_count: Whole rows of indicators that there were, for `TOO_FEW_ROWS`.
        required_row_count: Rows that the strategies need.
        candle_count: Candles that there were, for `TOO_FEW_ROWS`; 0 in journals of older versions.
        required_candle_count: Candles that those rows need.
        policy: Of the quarantine: what becomes of the open position.
        is_dry_run: Nothing is sent.
        is_executed: False where the trade execution service is not enabled, so that nothing follows.
        text: As version 0.1.0 wrote it, without the name of the strategy; then the fields above may be empty.
    """

    kind: DecisionKind
    strategy: str = ""
    reason: str = ""
    rule: str = ""
    exit_rule: str = ""
    signal: RecordedSignal | None = None
    stop_before: float | None = None
    stop_after: float | None = None
    refusal: str = ""
    row_count: int = 0
    required_row_count: int = 0
    candle_count: int = 0
    required_candle_count: int = 0
    policy: str = ""
    is_dry_run: bool = False
    is_executed: bool = True
    text: str = ""


Decisions = tuple[CandleDecision, ...]
"""All that was decided on one candle, at least one; those of a strategy stand beside one another."""

NO_SIGNAL: Decisions = (CandleDecision(DecisionKind.NO_SIGNAL),)
"""No strategy gave a signal; one value for all such candles."""


def has_no_signal(decisions: Decisions) -> bool:
    """Return whether there is nothing to say of a candle: no strategy gave a signal, and no stop was looked at."""
    return all(one.kind is DecisionKind.NO_SIGNAL for one in decisions)


def has_too_few_rows(decisions: Decisions) -> bool:
    """Return whether no strategy was asked, because the window was not whole."""
    return all(one.kind is DecisionKind.TOO_FEW_ROWS for one in decisions)


def was_evaluated(decisions: Decisions) -> bool:
    """Return whether the strategies were asked about a candle, and answered."""
    return all(one.kind not in _NOT_EVALUATED for one in decisions)


def without_candle_counts(decisions: Decisions) -> Decisions:
    """Return the decisions without the candles known while the window filled, which older versions did not record."""
    if not any(one.required_candle_count for one in decisions):
        return decisions
    return tuple(msgspec.structs.replace(one, candle_count=0, required_candle_count=0) for one in decisions)


def is_of_stops(decisions: Decisions) -> bool:
    """Return whether stops alone were decided on, and no signal."""
    return all(one.kind in STOP_KINDS for one in decisions)


def not_executed(decisions: Decisions) -> Decisions:
    """Return the decisions as they stand where the trade execution service is not enabled."""
    return tuple(msgspec.structs.replace(one, is_executed=False) for one in decisions)


def encode(decisions: Decisions) -> bytes:
    """Return decisions as JSON: a list of objects without the fields that are at their defaults."""
    return _ENCODER.encode(decisions)


def decode(raw: bytes | str) -> Decisions:
    """Return the decisions of `encode`.

    Raises:
        msgspec.ValidationError: It holds something else.
    """
    return _DECODER.decode(raw)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Decisions)


def describe(decisions: Decisions) -> str:
    """Return decisions as a person reads them: in one line, each strategy by its name where there are several."""
    lines = (_of_strategy(name, parts) for name, parts in groupby(decisions, key=lambda one: one.strategy))
    is_executed = all(one.is_executed for one in decisions)
    return " | ".join(lines) + ("" if is_executed else " -> not executed, trade execution is not enabled")


def _of_strategy(name: str, parts: Iterable[CandleDecision]) -> str:
    words = "; ".join(map(_words, parts))
    return f"{name}: {words}" if name else words


def _words(one: CandleDecision) -> str:
    if one.text:
        return one.text
    words = _WORDS[one.kind](one)
    return f"dry run, nothing sent: {words}" if one.is_dry_run else words


def _cause_text(one: CandleDecision) -> str:
    """Return what asked for a decision; empty where that is not known."""
    if one.signal is None:
        return "exit" if one.exit_rule else ""
    return signal_words(one.signal.side, one.signal.price, one.signal.reason)


def _warming_up(one: CandleDecision) -> str:
    if one.required_candle_count:
        return f"warming up: {one.candle_count} of {one.required_candle_count} candles"
    return f"too few rows: {one.row_count} of {one.required_row_count}"


def _rejected(one: CandleDecision) -> str:
    cause = _cause_text(one)
    return f"{cause} -> refused by {one.rule}: {one.reason}" if cause else one.reason


def _stop_kept(one: CandleDecision) -> str:
    refusal = f"{one.refusal}: " if one.refusal else ""
    return f"the stop stays at {format_price(one.stop_before)}: {refusal}{one.reason}"


_WORDS: Mapping[DecisionKind, Callable[[CandleDecision], str]] = {
    DecisionKind.NO_SIGNAL: lambda _: "no signal",
    DecisionKind.TOO_FEW_ROWS: _warming_up,
    DecisionKind.QUARANTINED: lambda one: f"quarantined ({one.policy}): nothing is decided",
    DecisionKind.FAILED: lambda one: one.reason,
    DecisionKind.SIGNAL: _cause_text,
    DecisionKind.ACCEPTED: lambda one: one.reason,
    DecisionKind.REJECTED: _rejected,
    DecisionKind.DECIDED_BEFORE: lambda one: f"{_cause_text(one)} -> decided before",
    DecisionKind.STOP_MOVED: lambda one: (
        f"stop {format_price(one.stop_before)} -> {format_price(one.stop_after)}: {one.reason}"
    ),
    DecisionKind.STOP_KEPT: _stop_kept,
    DecisionKind.UNKNOWN: lambda one: one.reason,
}
