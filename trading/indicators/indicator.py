"""An indicator: a TA-Lib function, its parameters, the selected output, and how far back it looks."""

from collections.abc import Iterable

from msgspec import Struct

from trading.indicators.ratios import is_ratio, ratio_reach_count
from trading.indicators.settling import seed_decay_count
from trading.indicators.talib_functions import lookback_of, shape_of
from trading.market.candles import COLUMNS


class Indicator(Struct, frozen=True):
    """A TA-Lib function, its parameters, and the selected output.

    Attributes:
        function: Name in TA-Lib, such as `EMA`.
        parameters: (name, value) as TA-Lib names them; omitted ones keep TA-Lib's default.
        output: Name of the output in TA-Lib, such as `macdsignal`; None if there is only one.
        price: Candle column for functions that take one price series.

    Raises:
        ValueError: TA-Lib has no such function, parameter or output, or the function has no value over a window.
    """

    function: str
    parameters: tuple[tuple[str, float], ...] = ()
    output: str | None = None
    price: str = "close"

    def __post_init__(self) -> None:
        shape = shape_of(self.function)
        unknown = [name for name, _ in self.parameters if name not in shape.defaults]
        if unknown:
            raise ValueError(f"{self.function} has no parameter {unknown[0]!r}; it has: {_listed(shape.defaults)}")
        if self.output not in shape.outputs and not (self.output is None and len(shape.outputs) == 1):
            raise ValueError(f"{self.function} has no output {self.output!r}; it has: {_listed(shape.outputs)}")
        if self.price not in COLUMNS:
            raise ValueError(f"no candle column {self.price!r}; expected: {_listed(COLUMNS)}")

    def __str__(self) -> str:
        values = ", ".join(f"{value:g}" for _, value in self.parameters)
        return f"{self.function}({values})" + (f".{self.output}" if self.output else "")

    @property
    def lookback_count(self) -> int:
        """Number of bars that the function needs before a candle."""
        return lookback_of(self.function, self.parameters)

    @property
    def settle_count(self) -> int:
        """Number of bars until the value no longer depends noticeably on the beginning of the window.

        For a function with a fixed look-back that is the look-back plus the bar itself. For a recursive function, the
        weight of its seed is then below one millionth.
        """
        decay = seed_decay_count(self.function, self.parameters)
        return self.lookback_count + 1 + decay

    @property
    def reach_count(self) -> int:
        """Number of candles that decide a value while the market moves; in a market that stands still they are more.

        A ratio looks back further than `settle_count` where there are as many candles.
        """
        arguments = tuple({**shape_of(self.function).defaults, **dict(self.parameters)}.values())
        if is_ratio(self.function, arguments):
            return max(self.settle_count, ratio_reach_count(self.function, arguments))
        return self.settle_count


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "none"
