"""Check the candles of a file for all kinds of findings; kinds without a finding are reported with a count of 0."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from trading.formatting import format_price
from trading.market.candles import CLOSE, COLUMNS, HIGH, LOW, OPEN, VOLUME
from trading.market.gaps import Gap, GapKind, Hours, find_gaps
from trading.market.quality.closed_hours import filled_closed_hours, outside_hours
from trading.market.quality.findings import Found, Place, Severity, found
from trading.market.quality.ordering import later_twins, out_of_order
from trading.market.quality.playable import BEFORE_1970, OFF_THE_GRID, row_faults
from trading.market.timeframes import Timeframe, phase_of

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Flags = NDArray[np.bool_]

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_MONDAY_MS = 4 * _DAY_MS  # Monday, 5 January 1970, 00:00 UTC
_WEEK_MS = 7 * _DAY_MS
_SERVER_MIDNIGHT_MS = 4 * _HOUR_MS
"""A broker's server clock is often UTC + 2 h or + 3 h: there the week begins on Monday at 00:00, not Sunday evening."""
_FULL_DAY_MS = 20 * _HOUR_MS
_OLDEST_MS = 315_532_800_000  # 1980: earlier times are a wrong unit
_JUMP = 0.10
_THIN = 0.05
_THIN_OF = 100


class Market(Struct, frozen=True):
    """Context of the candles that the rows do not contain.

    Attributes:
        timeframe: Of the candles.
        are_open: The trading hours; None if unknown.
        now_ms: Real time, milliseconds since the epoch.
        written_ms: Time at which the file was written.
        allow_non_positive: Prices may be zero or negative.
    """

    timeframe: Timeframe
    are_open: Hours | None
    now_ms: int
    written_ms: int
    allow_non_positive: bool = False


def examine(open_ms: Times, values: Floats, market: Market) -> list[Found]:
    """Return the findings: wrong ones first, then doubts, then notes.

    Args:
        open_ms: Open times in the order of the file, which may be unsorted; at least one.
        values: Shape (n, 5): open, high, low, close, volume of the same rows.
    """
    look = _Look(open_ms, values, market)
    return [*look.wrong(), *look.doubts(), *look.notes()]


class _Look:
    def __init__(self, open_ms: Times, values: Floats, market: Market) -> None:
        self._open_ms = open_ms
        self._values = values
        self._market = market
        self._times, first = np.unique(open_ms, return_index=True)
        self._phase_ms = phase_of(self._times, market.timeframe)
        self._faults = dict(
            row_faults(
                open_ms,
                values,
                timeframe=market.timeframe,
                phase_ms=self._phase_ms,
                allow_non_positive=market.allow_non_positive,
            )
        )
        self._sorted = values[first]
        self._filled = self._find_filled()
        self._gaps = find_gaps(self._times, timeframe=market.timeframe, are_open=market.are_open)

    def wrong(self) -> Iterator[Found]:
        off_grid = self._faults.pop(OFF_THE_GRID)
        for name, flags in self._faults.items():
            text = self._prices if name != BEFORE_1970 else lambda _: "playback begins in 1970"
            yield self._rows(name, Severity.WRONG, flags, text)
        twins = later_twins(self._open_ms)
        yield self._rows(
            "duplicate", Severity.WRONG, twins != np.arange(len(twins)), lambda row: self._twin(row, twins)
        )
        yield self._rows("unsorted", Severity.WRONG, out_of_order(self._open_ms), lambda _: "after a later candle")
        timeframe = self._market.timeframe
        off = (self._open_ms - self._phase_ms) % timeframe.grid_ms
        yield self._rows(OFF_THE_GRID, Severity.WRONG, off_grid, lambda row: f"{off[row] / 1000:g} s after a full bar")
        yield self._unfinished()
        yield self._of_kind(GapKind.GAP, Severity.WRONG)
        if self._market.are_open is not None:
            outside = outside_hours(self._times, timeframe=timeframe, are_open=self._market.are_open)
            closed = np.isin(self._open_ms, self._times[outside]) & ~self._filled
            yield self._rows("outside hours", Severity.WRONG, closed, lambda _: "the market is closed then")

    def doubts(self) -> Iterator[Found]:
        yield self._rows("closed hours", Severity.DOUBT, self._filled, lambda _: "flat, without volume, not traded")
        yield self._time_zone()
        is_old = (self._open_ms >= 0) & (self._open_ms < _OLDEST_MS)
        yield self._rows("time unit", Severity.DOUBT, is_old, lambda _: "before 1980: seconds taken for milliseconds?")
        yield self._jumps()
        yield self._low_last_volume()

    def notes(self) -> Iterator[Found]:
        if self._market.are_open is not None:
            yield self._of_kind(GapKind.EDGE, Severity.NOTE)
        yield self._of_kind(GapKind.BREAK, Severity.NOTE)
        yield self._of_kind(GapKind.WEEKEND, Severity.NOTE)
        yield self._rows("no volume", Severity.NOTE, self._values[:, VOLUME] == 0, lambda _: "volume 0")
        flat = self._values[:, HIGH] == self._values[:, LOW]
        yield self._rows("flat", Severity.NOTE, flat, lambda row: f"all at {format_price(self._values[row, CLOSE])}")

    def _find_filled(self) -> Flags:
        """Flag the rows that fill closed hours with flat candles."""
        flags = filled_closed_hours(
            self._times, self._sorted, timeframe=self._market.timeframe, are_open=self._market.are_open
        )
        return np.isin(self._open_ms, self._times[flags])

    def _rows(self, check: str, severity: Severity, flags: Flags, text: Callable[[int], str]) -> Found:
        rows = np.flatnonzero(flags)
        return found(check, severity, len(rows), (self._place(row, text(row)) for row in rows.tolist()))

    def _place(self, row: int, text: str) -> Place:
        return Place(int(self._open_ms[row]), text, row)

    def _prices(self, row: int) -> str:
        return ", ".join(
            f"{name} {format_price(value)}" for name, value in zip(COLUMNS, self._values[row], strict=True)
        )

    def _twin(self, row: int, twins: NDArray[np.intp]) -> str:
        later = int(twins[row])
        is_same = np.array_equal(self._values[row], self._values[later], equal_nan=True)
        distance = "in the next row" if later == row + 1 else f"{later - row} rows later"
        return f"again {distance}, {'the same' if is_same else 'with other values'}"

    def _unfinished(self) -> Found:
        """Find candles that had not ended when the file was written, or have not ended now."""
        ends = self._market.timeframe.closes(self._times)
        late = np.flatnonzero(ends > min(self._market.now_ms, self._market.written_ms))
        texts = (
            Place(int(self._times[at]), "ends in the future")
            if ends[at] > self._market.now_ms
            else Place(int(self._times[at]), "ended after the file was written")
            for at in late.tolist()
        )
        return found("unfinished", Severity.WRONG, len(late), texts)

    def _of_kind(self, kind: GapKind, severity: Severity) -> Found:
        gaps = [gap for gap in self._gaps if gap.kind is kind]
        return found(kind.value, severity, len(gaps), (Place(gap.after_ms, self._hole(gap)) for gap in gaps))

    def _hole(self, gap: Gap) -> str:
        length = _span(gap.until_ms - self._market.timeframe.close_of(gap.after_ms))
        return f"then {length} without candles" + (f", {gap.missing:,} missing" if gap.missing else "")

    def _time_zone(self) -> Found:
        """Question whether times are UTC if a 24-hour market begins its weeks at a server's midnight."""
        begins = np.array([gap.until_ms for gap in self._gaps if gap.kind is GapKind.WEEKEND], np.int64)
        at_midnight = begins[(begins - _MONDAY_MS) % _WEEK_MS < _SERVER_MIDNIGHT_MS]
        is_doubtful = len(at_midnight) * 2 > len(begins) and self._trades_all_day()
        text = "the week begins here; gold and currencies begin on Sunday at 21:00 or 22:00 UTC: a broker's own time?"
        places = [Place(int(at), text) for at in at_midnight.tolist()] if is_doubtful else []
        return found("time zone", Severity.DOUBT, len(places), places)

    def _trades_all_day(self) -> bool:
        _, counts = np.unique(self._times // _DAY_MS, return_counts=True)
        length_ms = self._market.timeframe.length_ms
        return bool(length_ms < _DAY_MS and np.median(counts) * length_ms >= _FULL_DAY_MS)

    def _jumps(self) -> Found:
        """Find price jumps: another contract, a split, another unit, or a real market move."""
        before, after = self._sorted[:-1, CLOSE], self._sorted[1:, OPEN]
        is_positive = before > 0  # a change from zero or below is no percentage
        moves = np.divide(after, before, out=np.ones(len(before)), where=is_positive) - 1
        rows = np.flatnonzero(is_positive & (np.abs(moves) > _JUMP))
        places = (
            Place(int(self._times[row + 1]), f"opens {moves[row]:+.1%} from the close before") for row in rows.tolist()
        )
        return found("jump", Severity.DOUBT, len(rows), places)

    def _low_last_volume(self) -> Found:
        """Question whether the last candle is complete if it has almost no volume."""
        volume: Sequence[float] = self._sorted[-_THIN_OF - 1 :, VOLUME].tolist()
        usual = float(np.median(volume[:-1])) if len(volume) > 1 else 0.0
        is_thin = volume[-1] < _THIN * usual
        text = f"volume {volume[-1]:g}, usual is {usual:g}: was the candle still open?"
        return found("thin end", Severity.DOUBT, int(is_thin), [Place(int(self._times[-1]), text)] if is_thin else [])


def _span(length_ms: int) -> str:
    """Format a duration: `3 d 1 h`, `63 min`."""
    minutes = round(length_ms / 60_000)
    if minutes < 180:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
