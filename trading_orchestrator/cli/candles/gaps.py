"""Report missing and invalid candles of a backtest."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from adapters.candle_files.play import place_of
from trading.errors import BadCandle
from trading.formatting import format_minute
from trading.market.candles import Candles
from trading.market.quality import GapKind, find_gaps
from trading.market.sessions import Session
from trading.market.timeframes import Timeframe
from trading_orchestrator.cli.candles.files import PlayedFile, remedy
from trading_orchestrator.cli.exit_codes import ExitCode, Failed

_NONE = np.empty(0, np.int64)


class Missing(Struct, frozen=True):
    """Candles that are missing while the market was open.

    Attributes:
        candles: Number of missing candles.
        holes: Number of runs of missing candles.
        first_ms: Open time of the candle before the first hole, milliseconds since the epoch, UTC.
    """

    candles: int
    holes: int
    first_ms: int | None


def missing_in(candles: Candles, timeframe: str, session: Session, closed_ms: NDArray[np.int64] = _NONE) -> Missing:
    """Count the gaps of candles, as `candles check` does; candles of closed hours that were left out are no gap."""
    is_within = (closed_ms > candles.open_ms[0]) & (closed_ms < candles.last_open_ms)
    open_ms = np.union1d(candles.open_ms, closed_ms[is_within])
    found = find_gaps(open_ms, timeframe=Timeframe.parse(timeframe), are_open=session.are_open)
    gaps = [gap for gap in found if gap.kind is GapKind.GAP]
    return Missing(sum(gap.missing for gap in gaps), len(gaps), gaps[0].after_ms if gaps else None)


def missing_text(missing: Missing) -> str:
    """Return a sentence on missing candles."""
    holes = "1 gap" if missing.holes == 1 else f"{missing.holes:,} gaps, the first"
    return (
        f"{missing.candles:,} candles are missing during its trading hours, in {holes} after "
        f"{format_minute(missing.first_ms)} UTC"
    )


@contextmanager
def exit_on_bad_candle(files: Mapping[str, PlayedFile]) -> Iterator[None]:
    """Report an invalid candle with its place in the symbol's file, and exit with code 1."""
    try:
        yield
    except BadCandle as error:
        if (file := files.get(error.symbol)) is None:
            raise
        place = place_of(file.path, error.open_ms, file.options)
        located = BadCandle(error.open_ms, error.fault, error.symbol, place)
        raise Failed(ExitCode.NO, f"{located}\n{remedy(*file)}") from error
