"""Quality of candles: wrong, doubtful and remarkable values, with their location."""

from trading.market.gaps import Gap, GapKind, Hours, find_gaps, missing_times
from trading.market.quality.checks import Market, examine
from trading.market.quality.findings import Found, Place, Severity
from trading.market.quality.ordering import later_twins, out_of_order, timeframe_of, usual_spacing_ms
from trading.market.quality.prices import VALUE_FAULTS, value_faults

__all__ = [
    "VALUE_FAULTS",
    "Found",
    "Gap",
    "GapKind",
    "Hours",
    "Market",
    "Place",
    "Severity",
    "examine",
    "find_gaps",
    "later_twins",
    "missing_times",
    "out_of_order",
    "timeframe_of",
    "usual_spacing_ms",
    "value_faults",
]
