"""What a replay says of its candles: those that are missing, and where a bad one stands."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.sources.file import place_of
from trading.errors import BadCandle
from trading.formatting import format_minute
from trading.market.candles import Candles, timeframe_ms
from trading.market.quality import GapKind, find_gaps
from trading.market.sessions import Session
from trading_orchestrator.cli.candles.files import look_at
from trading_orchestrator.cli.exit_codes import ExitCode, Failed

CONVERT = "celery -A tasks trading candles convert"


@dataclass(frozen=True, slots=True)
class Missing:
    """Candles that a market should have made while it was open.

    Attributes:
        candles: How many; 0 when none is missing.
        holes: Runs of them.
        first_ms: Open time of the candle before the first hole, milliseconds since the epoch, UTC.
    """

    candles: int
    holes: int
    first_ms: int | None


def missing_in(candles: Candles, timeframe: str, session: Session) -> Missing:
    """Count the gaps of candles, as `candles check` does."""
    found = find_gaps(candles.open_ms, length_ms=timeframe_ms(timeframe), are_open=session.are_open)
    gaps = [gap for gap in found if gap.kind is GapKind.GAP]
    return Missing(sum(gap.missing for gap in gaps), len(gaps), gaps[0].after_ms if gaps else None)


def missing_words(missing: Missing) -> str:
    """Return what to say of candles that are missing."""
    holes = "1 hole" if missing.holes == 1 else f"{missing.holes:,} holes, the first"
    return (
        f"{missing.candles:,} candles are missing within its sessions, in {holes} after "
        f"{format_minute(missing.first_ms)} UTC"
    )


@contextmanager
def telling_bad_candles(files: Mapping[str, Path]) -> Iterator[None]:
    """Tell of a candle that must not be used, with the place in its symbol's file, and exit code 1."""
    try:
        yield
    except BadCandle as error:
        if (file := files.get(error.symbol)) is None:
            raise
        place = place_of(file, error.open_ms)
        told = BadCandle(error.open_ms, error.fault, error.symbol, place)
        without = f"make one without such rows: {CONVERT} {shlex.quote(str(file))} OUT.csv"
        raise Failed(ExitCode.NO, f"{told}\n{remedy(file)}\n{without}") from error


def remedy(file: Path) -> str:
    """Return what to do about a file that cannot be used."""
    return f"look at it: {look_at(file)}"
