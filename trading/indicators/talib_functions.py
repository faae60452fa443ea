"""TA-Lib's functions: their inputs, parameters, outputs and look-back, as TA-Lib describes them."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

import talib
from msgspec import Struct
from talib import abstract

from trading.market.candles import COLUMNS

_RUNNING_TOTALS = frozenset({"AD", "CUMSUM", "NVI", "OBV", "PVI", "PVT", "VWAP", "WAD"})


@lru_cache(maxsize=256)
def raw_function(name: str) -> Callable[..., Any]:
    """Return TA-Lib's function without its pandas and polars wrapper, which doubles the time on arrays."""
    function = getattr(talib, name)
    return getattr(function, "__wrapped__", function)  # type: ignore[no-any-return]  # TA-Lib ships no types


class Shape(Struct, frozen=True):
    """Inputs (None is the price series), parameters with defaults, and outputs of a TA-Lib function."""

    inputs: tuple[str | None, ...]
    defaults: Mapping[str, float]
    outputs: tuple[str, ...]
    group: str
    is_unstable: bool


@lru_cache(maxsize=256)
def shape_of(function: str) -> Shape:
    """Return the shape of a TA-Lib function.

    Raises:
        ValueError: TA-Lib has no such function, it needs another series, or it has no value over a trailing window.
    """
    if function not in _names():
        raise ValueError(f"TA-Lib has no function {function!r}; talib.get_functions() lists the available ones")
    if function in _RUNNING_TOTALS:
        raise ValueError(f"{function} is a running total: it has no value over a trailing window")
    about = _abstract(function).info
    named = about["input_names"]
    inputs = chain.from_iterable([name] if isinstance(name, str) else name for name in named.values())
    columns = tuple(None if "price" in named and named["price"] == name else name for name in inputs)
    strange = [name for name in columns if name is not None and name not in COLUMNS]
    if strange:
        raise ValueError(f"{function} needs the series {strange[0]!r}, which candles do not have")
    is_unstable = any("unstable" in flag for flag in about["function_flags"] or ())
    return Shape(columns, dict(about["parameters"]), tuple(about["output_names"]), about["group"], is_unstable)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(talib.get_functions())  # type: ignore[no-untyped-call]  # TA-Lib ships no types


def _abstract(function: str, **parameters: float) -> Any:
    return abstract.Function(function, **parameters)  # type: ignore[attr-defined]  # made in the extension


@lru_cache(maxsize=1024)
def lookback_of(function: str, parameters: tuple[tuple[str, float], ...]) -> int:
    """Return the number of bars that a function needs before a candle; omitted parameters keep TA-Lib's default."""
    return int(_abstract(function, **dict(parameters)).lookback)
