"""A recorded live run, ready for a replay: the inputs of each candle in the order of the decisions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge

import numpy as np
from msgspec import Struct

from adapters.ledger.queries.recorded_rows import RecordedBooks, Row
from adapters.ledger.tables import Origin
from trading.events.decisions import has_too_few_rows
from trading.events.journal import Entry, candles_of
from trading.market.candles import Candles
from trading.market.timeframes import Timeframe


class Lookback(Struct, frozen=True):
    """Numbers of candles that a symbol's indicators need.

    Attributes:
        history_count: Candles before the first decided one, so that all of its values are complete.
        silent_count: Candles from the very first one to the last one with too few rows.
        reach: Returns how many of the newest candles decide the values at the last one.
    """

    history_count: int
    silent_count: int
    reach: Callable[[Candles], int] = len


class Track(Struct, frozen=True):
    """The recorded candles of one symbol.

    Attributes:
        history: Candles before the first entry, for the indicators.
        entries: Entries to replay, at least one.
    """

    symbol: str
    timeframe: str
    history: Candles
    entries: Sequence[Entry]

    @property
    def begin_ms(self) -> int:
        return self.entries[0].open_ms

    @property
    def end_ms(self) -> int:
        """Market time at which the last candle closed."""
        return Timeframe.parse(self.timeframe).close_of(self.entries[-1].open_ms)

    def unusual_ends(self) -> dict[int, int]:
        """Return the ends of the candles that are not the ones of the timeframe, by open time."""
        grid, opens = Timeframe.parse(self.timeframe), [entry.open_ms for entry in self.entries]
        ends = grid.closes(np.array(opens, np.int64)).tolist()
        return {at: end for at, end in zip(opens, ends, strict=True) if end != grid.close_of(at)}

    def since(self, place: int) -> "Track":
        """Return the track from the entry at index `place`; earlier entries become history."""
        return Track(
            self.symbol, self.timeframe, self.history.then(candles_of(self.entries[:place])), self.entries[place:]
        )


class Recording(Struct, frozen=True):
    """A recorded run of one account."""

    tracks: Mapping[str, Track]
    books: RecordedBooks


def track_of(
    symbol: str, timeframe: str, journal: Sequence[Entry], window: Candles, lookback: Lookback, *, from_ms: int = 0
) -> tuple[Track | None, str]:
    """Return the track of a journal, None when no entry is left, and a message on omitted entries.

    Args:
        journal: Entries up to the last requested one, oldest first.
        window: Candles recorded beside the journal, which may begin earlier.
        from_ms: Open time of the first requested candle.
    """
    old = next((place for place in range(len(journal), 0, -1) if not journal[place - 1].is_replayable), 0)
    lost = sum(entry.open_ms >= from_ms for entry in journal[:old])
    left_out = f"{symbol}: {lost} candles that were decided before their inputs were recorded" if lost else ""
    usable = journal[old:]
    begin = next((place for place, entry in enumerate(usable) if entry.open_ms >= from_ms), None)
    if begin is None:
        return None, left_out
    whole = Track(symbol, timeframe, window.until(usable[0].open_ms - 1), usable)
    track = whole.since(begin)
    missing = lookback.history_count - len(track.history)
    if missing <= 0 or _is_from_the_first(whole, lookback):
        return track, left_out
    if missing >= len(track.entries):
        count = len(track.entries)
        return None, f"{symbol}: all {count} candles, because its indicators look back {lookback.history_count}"
    short = f"{symbol}: {missing} candles, because its indicators look back further than the journal"
    return track.since(missing), "; ".join(filter(None, (left_out, short)))


def _is_from_the_first(track: Track, lookback: Lookback) -> bool:
    """Return whether the live run began with the recorded candles, as its entries with too few rows show."""
    silent = next(
        (place for place, entry in enumerate(track.entries) if not has_too_few_rows(entry.decisions)),
        len(track.entries),
    )
    known = len(track.history) + silent
    return bool(silent) and (known == lookback.silent_count or silent == len(track.entries))


def in_order(recording: Recording) -> Iterator[tuple[int, str, Entry]]:
    """Yield time, symbol and entry of all symbols in the order of the live run, as far as its clocks show.

    A candle with a signal is placed at its decision's write time, the others at the commit of their batch. Times are
    wall-clock milliseconds.
    """
    written = {(row["symbol"], row["open_ms"]): (row["written_at_ms"], row["id"]) for row in recording.books.decisions}
    yield from (
        (at_ms, symbol, entry)
        for (at_ms, _), symbol, entry in merge(*(_timed(one, written) for one in recording.tracks.values()), key=_first)
    )


def _first(timed: tuple[tuple[int, int], str, Entry]) -> tuple[int, int]:
    return timed[0]


def _timed(
    track: Track, written: Mapping[tuple[str, int], tuple[int, int]]
) -> list[tuple[tuple[int, int], str, Entry]]:
    """Add a time to each entry; candles of a batch precede the decision on a later candle of the batch."""
    timed = []
    latest = (2**63, 0)
    for entry in reversed(track.entries):
        latest = min(latest, written.get((track.symbol, entry.open_ms), (entry.at_ms or 0, 0)))
        timed.append((latest, track.symbol, entry))
    return timed[::-1]


def with_common_start(recording: Recording) -> tuple[Recording, list[str]]:
    """Start all symbols at the same time if a journal no longer holds its first decision."""
    trimmed = [
        track.entries[0].at_ms or 0
        for track in recording.tracks.values()
        if any(row["symbol"] == track.symbol and row["open_ms"] < track.begin_ms for row in recording.books.decisions)
    ]
    if not trimmed or len(recording.tracks) == 1:
        return recording, []
    begin_at_ms, tracks, left_out = max(trimmed), {}, []
    for symbol, track in recording.tracks.items():
        place = next((at for at, one in enumerate(track.entries) if (one.at_ms or 0) >= begin_at_ms), None)
        if place is None:
            left_out.append(f"{symbol}: all {len(track.entries)} candles: decided before the other journals begin")
            continue
        if place:
            left_out.append(f"{symbol}: {place} candles that were decided before the other journals begin")
        tracks[symbol] = track.since(place) if place else track
    return Recording(tracks, recording.books), left_out


def until_operator_change(recording: Recording) -> tuple[Recording, list[str]]:
    """End the recording where an operator closed or adopted a position, which cannot be derived from candles."""
    changes = [
        row
        for row in recording.books.decisions
        if row["origin"] != Origin.SIGNAL.value and _is_within(row, recording.tracks.get(row["symbol"]))
    ]
    if not changes:
        return recording, []
    first = min(changes, key=lambda row: row["id"])
    tracks, left_out = {}, []
    for symbol, track in recording.tracks.items():
        kept = [entry for entry in track.entries if (entry.at_ms or 0) < first["written_at_ms"]]
        left = len(track.entries) - len(kept)
        if left:
            left_out.append(
                f"{symbol}: {left} candles after {first['symbol']} was closed or adopted ({first['origin']})"
            )
        if kept:
            tracks[symbol] = Track(symbol, track.timeframe, track.history, kept)
    return Recording(tracks, recording.books), left_out


def _is_within(row: Row, track: Track | None) -> bool:
    return track is not None and track.begin_ms <= row["open_ms"] <= track.entries[-1].open_ms
