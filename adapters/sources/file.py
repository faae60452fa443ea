"""Candle source that plays a candle file as an exchange would have shown it."""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from adapters import clock
from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.play import check_command, place_of, read_candles, read_recording, read_unspaced
from adapters.candle_files.raw_rows import NO_OPTIONS
from adapters.sources.followed_file import FollowedFile
from adapters.sources.playback import PlayedSource
from adapters.sources.playback_clock import AnchorStore, Speed
from configs.plugins.candle_files import CandleFileOptions
from trading.market.candles import Candles
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe, phase_of

__all__ = ["FileSource", "InMemoryCandles", "place_of", "read_candles", "read_unspaced"]

logger = logging.getLogger(__name__)

_AS_KEYS = "in symbols.yaml these options are keys of the source, with _ for -: --time-format is time_format"


class FileSource(PlayedSource):
    """Plays a candle file, and rows appended to it; sources of the same file share one copy within a process."""

    def __init__(
        self,
        path: Path | str,
        symbol: str,
        timeframe: str,
        speed: Speed = "max",
        *,
        now_ms: Callable[[], int] = clock.now_ms,
        anchors: AnchorStore | None = None,
        step: int = 1,
        options: CandleFileOptions = NO_OPTIONS,
        session: Session | None = None,
    ) -> None:
        """Load the file, unless this process has done so before.

        Args:
            path: CSV (plain or gzipped), Parquet, Feather or JSON; without options the system's own layout: timestamp
                (open time: ISO 8601 with an offset or Z, or epoch time), open, high, low, close, volume.
            symbol: Symbol of the candles.
            timeframe: Their timeframe, such as "1m".
            speed: "max", or market seconds per wall second.
            now_ms: The wall clock, milliseconds since the epoch.
            anchors: Store of the market's start for numeric speeds; None keeps it in this object.
            step: Candles released per call at speed "max".
            options: How to read a file of another program.
            session: Trading hours; flat candles without volume outside them are left out.

        Raises:
            CandleFileError: The file, a column or a timestamp is missing or invalid; prices are not checked here.
            Transient: This process has played another content of the file.
        """
        read = partial(read_recording, path, timeframe=timeframe, options=options, session=session)
        terms = (timeframe, options.model_dump_json(), session)
        self._file = FollowedFile(Path(path), read, terms=terms, now_s=time.time)
        try:
            recording = self._file.recording()
        except CandleFileError as error:
            raise CandleFileError(f"{error} ({_AS_KEYS})") from error
        self._shown = recording
        if closed_count := len(recording.closed_ms):
            logger.warning("symbol=%s %s: %d candles of closed hours are left out", symbol, path, closed_count)
        super().__init__(
            InMemoryCandles(recording.candles),
            timeframe=timeframe,
            speed=speed,
            step=step,
            now_ms=now_ms,
            anchors=anchors,
            phase_ms=phase_of(recording.candles.open_ms, Timeframe.parse(timeframe)),
        )
        self.path = Path(path)
        self.symbol = symbol
        self._timeframe = timeframe
        self._options = options

    def __repr__(self) -> str:
        return f"<FileSource {self.symbol} {str(self.path)!r}>"

    def _follow(self) -> None:
        recording = self._file.recording()
        if recording is not self._shown:
            self._shown, self._series = recording, InMemoryCandles(recording.candles)

    def place_of(self, open_ms: int) -> str:
        """Return the place of a candle in the file, with the command that checks the file."""
        place = place_of(self.path, open_ms, self._options, timeframe=self._timeframe)
        return f"{place}; check it: {check_command(self.path, self._options)}"


class InMemoryCandles:
    """A series of candles in memory, at least one."""

    def __init__(self, candles: Candles) -> None:
        self._open_ms = candles.open_ms
        self._values = candles.values
        self.start_ms = int(candles.open_ms[0])

    def after(self, open_ms: int, count: int) -> Candles:
        first = int(self._open_ms.searchsorted(open_ms, "right"))
        return Candles(self._open_ms[first : first + count], self._values[first : first + count])

    def until(self, open_ms: int, count: int) -> Candles:
        end = int(self._open_ms.searchsorted(open_ms, "right"))
        first = max(end - count, 0)
        return Candles(self._open_ms[first:end], self._values[first:end])
