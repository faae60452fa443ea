"""Quality of candles: wrong, doubtful and remarkable values, with their location."""

from trading.market.gaps import Gap, GapKind, Hours, find_gaps, missing_times
from trading.market.quality.checks import Market, examine
from trading.market.quality.closed_hours import filled_closed_hours, outside_hours
from trading.market.quality.findings import Found, Place, Severity
from trading.market.quality.ordering import later_twins, out_of_order, usual_spacing_ms
from trading.market.quality.playable import ROW_FAULTS, row_faults
from trading.market.quality.prices import VALUE_FAULTS, value_faults
from trading.market.timeframes import timeframe_of

__all__ = [
    "ROW_FAULTS",
    "VALUE_FAULTS",
    "Found",
    "Gap",
    "GapKind",
    "Hours",
    "Market",
    "Place",
    "Severity",
    "examine",
    "filled_closed_hours",
    "find_gaps",
    "later_twins",
    "missing_times",
    "out_of_order",
    "outside_hours",
    "row_faults",
    "timeframe_of",
    "usual_spacing_ms",
    "value_faults",
]
