"""The function calls that compute a set of indicators; indicators that differ in the output share one call."""

from enum import Enum, auto
from functools import lru_cache

from msgspec import Struct

from trading.indicators.indicator import Indicator
from trading.indicators.ratios import is_ratio
from trading.indicators.recursive import RECURSIONS
from trading.indicators.settling import is_windowed
from trading.indicators.talib_functions import shape_of
from trading.market.candles import COLUMNS

MEMORYLESS = frozenset(
    {"AVGPRICE", "BOP", "MAX", "MEDPRICE", "MIDPOINT", "MIDPRICE", "MIN", "MOM", "ROC", "ROCP", "ROCR", "ROCR100"}
    | {"TRANGE", "TYPPRICE", "WCLPRICE"}
)
"""Functions that carry no sum between candles: a longer series gives the same bits."""


class Kind(Enum):
    """How the values of a call depend on the candles.

    Attributes:
        WINDOWED: On a fixed number of candles.
        RECURSIVE: On all before, the older the less; the window is extended where prices stand still.
        RATIO: On the ratio of such averages.
    """

    WINDOWED = auto()
    RECURSIVE = auto()
    RATIO = auto()


class Call(Struct, frozen=True):
    """One function call, shared by the indicators that read its outputs.

    Attributes:
        inputs: Candle columns.
        reads: (index of the output, column of the table) for each indicator.
        is_ours: It is one of `RECURSIONS`; TA-Lib computes the others.
    """

    function: str
    inputs: tuple[int, ...]
    arguments: tuple[float, ...]
    reads: tuple[tuple[int, int], ...]
    kind: Kind
    is_ours: bool


class Plan(Struct, frozen=True):
    """The calls that compute a set of indicators; `columns` are the candle columns that they read."""

    calls: tuple[Call, ...]
    columns: frozenset[int]
    shortest_window: int


@lru_cache(maxsize=256)
def plan_of(indicators: tuple[Indicator, ...]) -> Plan:
    """Return the calls that fill a table whose first column is the close; the indicators follow in this order."""
    groups: dict[tuple[str, tuple[tuple[str, float], ...], str], list[tuple[int, int]]] = {}
    for column, one in enumerate(indicators, start=1):
        output = shape_of(one.function).outputs.index(one.output) if one.output else 0
        groups.setdefault((one.function, one.parameters, one.price), []).append((output, column))
    calls = tuple(_call(*key, tuple(reads)) for key, reads in groups.items())
    columns = frozenset(column for call in calls for column in call.inputs)
    return Plan(calls, columns, max((one.lookback_count for one in indicators), default=0) + 1)


def _call(
    function: str, parameters: tuple[tuple[str, float], ...], price: str, reads: tuple[tuple[int, int], ...]
) -> Call:
    shape = shape_of(function)
    inputs = tuple(COLUMNS.index(name or price) for name in shape.inputs)
    arguments = tuple({**shape.defaults, **dict(parameters)}.values())
    kind = _kind(function, arguments)
    is_ours = function in RECURSIONS and (function != "BBANDS" or kind is Kind.WINDOWED)
    return Call(function, inputs, arguments, reads, kind, is_ours)


def _kind(function: str, arguments: tuple[float, ...]) -> Kind:
    if is_ratio(function, arguments):
        return Kind.RATIO
    values = dict(zip(shape_of(function).defaults, arguments, strict=True))
    return Kind.WINDOWED if function in MEMORYLESS or is_windowed(function, values) else Kind.RECURSIVE
