"""What is wrong, doubtful or remarkable in a run of candles, and where."""

from trading.candle_checks.findings import Found, Place, Weight
from trading.candle_checks.gaps import Gap, GapKind, Hours, find_gaps, missing_times
from trading.candle_checks.order import later_twins, out_of_order, timeframe_of, usual_spacing_ms
from trading.candle_checks.run import Market, examine
from trading.candle_checks.values import VALUE_FAULTS, value_faults

__all__ = [
    "VALUE_FAULTS",
    "Found",
    "Gap",
    "GapKind",
    "Hours",
    "Market",
    "Place",
    "Weight",
    "examine",
    "find_gaps",
    "later_twins",
    "missing_times",
    "out_of_order",
    "timeframe_of",
    "usual_spacing_ms",
    "value_faults",
]
