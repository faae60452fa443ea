"""Read a recorded run from Redis and the ledger, with the parts that cannot be replayed."""

from collections.abc import Mapping, Sequence
from typing import cast

import redis
from msgspec import Struct
from sqlalchemy.engine import Engine

from adapters.backtest.recording import (
    Lookback,
    Recording,
    Track,
    track_of,
    until_operator_change,
    with_common_start,
)
from adapters.ledger.queries.recorded_rows import RecordedBooks, read_recorded_books
from adapters.redis import keys
from adapters.redis.client import talking_to_redis
from adapters.symbol_store.journal import JournalReader
from adapters.symbol_store.redis import unpacked
from adapters.wiring.pipeline_spec import strategies_of
from configs.loading import SystemConfig
from configs.snapshot import deciding_digest
from trading.indicators.regime import RegimeRule
from trading.market.candles import Candles
from trading.services.indicator_calculation import history_count, reach_of
from trading.strategies.indicator_sharing import SharedIndicators


class Found(Struct, frozen=True):
    """A recording with its limitations.

    Attributes:
        left_out: Requested parts that cannot be compared, one line each.
        notes: Conditions of the comparison, one line each.
    """

    recording: Recording
    left_out: Sequence[str]
    notes: Sequence[str]


def read_recording(
    client: redis.Redis,
    engine: Engine,
    namespace: str,
    system: SystemConfig,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> Found:
    """Read the recordings of all symbols of an account.

    Args:
        from_ms: Open time of the first candle to replay; None for the start of the journals.
        to_ms: Open time after the last candle; None for all.
    """
    tracks: dict[str, Track] = {}
    incomplete: list[str] = []
    for symbol, config in system.symbols.items():
        journal = JournalReader(client, namespace, symbol).between(to_ms=to_ms)
        window = window_of(client, namespace, symbol)
        lookback = lookback_of(symbol, system)
        track, lost = track_of(symbol, config.timeframe, journal, window, lookback, from_ms=from_ms or 0)
        incomplete += [lost] if lost else []
        if track is not None:
            tracks[symbol] = track
    books = read_recorded_books(engine, system.account.name)
    recording, later = Recording(tracks, books), _decided_before(tracks, books, from_ms or 0)
    if from_ms is None:
        recording, later = with_common_start(recording)
    recording, outside = until_operator_change(recording)
    begun = [f"history, not compared: {line}" for line in incomplete + later]
    left_out = [*(incomplete + later if from_ms is not None else []), *outside, *_elsewhere(recording.tracks, books)]
    return Found(recording, left_out, [*(begun if from_ms is None else []), *_changed(recording.tracks, system)])


def window_of(client: redis.Redis, namespace: str, symbol: str) -> Candles:
    """Return the newest candles of a symbol, including those before its first decision."""
    with talking_to_redis():
        return unpacked(cast("list[bytes]", client.lrange(keys.window(namespace, symbol), 0, -1)))


def lookback_of(symbol: str, system: SystemConfig) -> Lookback:
    """Return the numbers of candles that a symbol's indicators need before the first decided one."""
    config, services = system.symbols[symbol], system.services
    shared = SharedIndicators(strategies_of(config))
    calculation, required = services.indicator_calculation, services.strategy_evaluation.min_rows_required
    rule = RegimeRule() if calculation.track_regime_changes else None
    count = history_count(shared.reach_count, calculation.recent_rows_limit, rule)
    terms = (shared, calculation.recent_rows_limit, rule)
    return Lookback(count, shared.window + required - 2, lambda candles: reach_of(candles, *terms, count=1))


def _decided_before(tracks: Mapping[str, Track], books: RecordedBooks, from_ms: int) -> list[str]:
    """Return a line for each symbol with decisions in the requested range before its journal begins."""
    before = {
        row["symbol"]
        for row in books.decisions
        if row["symbol"] in tracks and from_ms <= row["open_ms"] < tracks[row["symbol"]].begin_ms
    }
    return [f"{symbol}: what was decided before its journal begins" for symbol in sorted(before)]


def _elsewhere(tracks: Mapping[str, Track], books: RecordedBooks) -> list[str]:
    """Return a line for each symbol that traded by then and is not replayed: its positions limited the others."""
    end_ms = max((track.end_ms for track in tracks.values()), default=0)
    others = sorted({row["symbol"] for row in books.fills if row["market_ms"] < end_ms} - tracks.keys())
    return [
        f"{symbol}: it has fills and no recorded candle of that time, so what it held then is not counted in the "
        "limits of the account"
        for symbol in others
    ]


def _changed(tracks: Mapping[str, Track], system: SystemConfig) -> list[str]:
    notes = []
    for symbol, track in tracks.items():
        now = deciding_digest(system, symbol)
        others = [entry for entry in track.entries if entry.config != now]
        if others:
            digests = ", ".join(sorted({entry.config for entry in others}))
            notes.append(
                f"{symbol}: {len(others)} of {len(track.entries)} candles were decided with another configuration "
                f"({digests}, replayed with {now})"
            )
        if note := system.symbols[symbol].venue.replay_note:
            notes.append(f"{symbol}: {note}")
    return notes
