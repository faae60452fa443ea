"""How far back the value of a TA-Lib function depends on its input, and when it has settled."""

from collections.abc import Mapping

from trading.indicators.ratios import decay_count
from trading.indicators.talib_functions import lookback_of, shape_of

_FORGETTING_PERIODS = 14
_SLOW_PERIOD = 30
"""For other functions. Wilder's smoothing, the slowest in common use, forgets its seed in ln(1e6) = 13.8 periods.
Path-dependent functions, such as SAR, have a short look-back and still a long memory."""

_EXPONENTIAL: Mapping[str, tuple[str, ...]] = {
    "EMA": ("timeperiod",),
    "DEMA": ("timeperiod",) * 2,
    "TEMA": ("timeperiod",) * 3,
    "TRIX": ("timeperiod",) * 3,
    "T3": ("timeperiod",) * 6,
    "MACD": ("slowperiod", "signalperiod"),
    "ADOSC": ("slowperiod",),
}
_WILDER: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("RSI", "CMO", "ATR", "NATR", "DX", "PLUS_DI", "MINUS_DI", "PLUS_DM", "MINUS_DM"), ("timeperiod",)),
    **dict.fromkeys(("STOCHRSI", "RMA"), ("timeperiod",)),
    **dict.fromkeys(("ADX", "ADXR"), ("timeperiod",) * 2),
}
"""The smoothings of each recursive function, by the parameter that holds their period."""

_WINDOWED_GROUPS = frozenset(
    {"Math Operators", "Math Transform", "Pattern Recognition", "Price Transform", "Statistic Functions"}
)
_WINDOWED = frozenset(
    {"SMA", "WMA", "TRIMA", "MA", "BBANDS", "MIDPOINT", "MIDPRICE", "MOM", "ROC", "ROCP", "ROCR", "ROCR100", "STOCH"}
    | {"STOCHF", "WILLR", "CCI", "AROON", "AROONOSC", "MFI", "ULTOSC", "BOP", "APO", "PPO", "TRANGE", "DONCHIAN"}
)
"""Functions that look back a fixed number of bars, if their moving averages are simple ones."""


def seed_decay_count(function: str, parameters: tuple[tuple[str, float], ...]) -> int:
    """Return the number of bars beyond the look-back until the seed of a function weighs less than one millionth.

    It is 0 for a function with a fixed look-back.
    """
    values = {**shape_of(function).defaults, **dict(parameters)}
    if function in _EXPONENTIAL:
        return sum(decay_count(2 / (values[name] + 1)) for name in _EXPONENTIAL[function])
    if function in _WILDER:
        return sum(decay_count(1 / values[name]) for name in _WILDER[function])
    if is_windowed(function, values):
        return 0
    return _FORGETTING_PERIODS * max(lookback_of(function, parameters) + 1, _SLOW_PERIOD)


def is_windowed(function: str, values: Mapping[str, float]) -> bool:
    """Return whether a function with these parameter values depends on a fixed number of bars."""
    if any(name.endswith("matype") and value for name, value in values.items()):
        return False
    shape = shape_of(function)
    return function in _WINDOWED or (shape.group in _WINDOWED_GROUPS and not shape.is_unstable)
