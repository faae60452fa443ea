"""Indicators of all strategies of a symbol: computed together, and given to each strategy as if it ran alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from trading.indicators import Indicator, NotFinite, compute, reach
from trading.indicators.rows import IndicatorRows
from trading.market.candles import Candles
from trading.strategies import Strategy, StrategyFault
from trading.strategies.errors import at_candle, class_path
from trading.strategies.invocation import indicators_of


class SharedIndicators:
    """One table of values for all strategies of a symbol.

    Each value is computed over the window of its own strategy, so a strategy's values do not depend on the others.
    Values that two strategies need over the same window are computed once. A row exists once all windows are complete.

    Attributes:
        window: Number of candles of the longest window.
        reach_count: Number of candles that decide a row while the market moves, at least `window`.
        columns: Names of the computed columns, in their order.
    """

    def __init__(self, strategies: Mapping[str, Strategy]) -> None:
        """Plan the computation for at least one strategy, by the name of its book."""
        self._strategies = strategies
        self._groups: dict[int, dict[str, Indicator]] = {}
        self._columns: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        is_only_strategy = len(strategies) == 1
        for book, strategy in strategies.items():
            named, group = indicators_of(strategy), self._groups.setdefault(strategy.startup_candle_count, {})
            known = {indicator: column for column, indicator in group.items()}
            own = [name if is_only_strategy else known.get(one, f"{book}.{name}") for name, one in named.items()]
            group.update(zip(own, named.values(), strict=True))
            self._columns[book] = tuple(named), tuple(own)
        self._is_only_strategy = is_only_strategy
        self.window = max(self._groups)
        self.reach_count = reach_count(strategies)
        self.columns = tuple(column for group in self._groups.values() for column in group)

    def compute(self, candles: Candles, *, rows: int) -> IndicatorRows:
        """Compute the values at the last `rows` candles with complete windows; see `trading.indicators`.

        Raises:
            StrategyFault: TA-Lib gives no finite number for a candle.
        """
        count = max(0, min(rows, len(candles) - self.window + 1))
        try:
            parts = [compute(candles, group, window=window, rows=count) for window, group in self._groups.items()]
        except NotFinite as error:
            raise self._fault(error) from error
        return parts[0] if len(parts) == 1 else _joined_columns(parts)

    def reach(self, candles: Candles, *, rows: int) -> int:
        """Return how many of the newest candles decide the last `rows` rows; see `trading.indicators.reach`."""
        return max(reach(candles, group, window=window, rows=rows) for window, group in self._groups.items())

    def _fault(self, error: NotFinite) -> StrategyFault:
        """Name the strategy that requested the missing value, and its name for the indicator."""
        book, name = next(
            (book, names[own.index(error.column)])
            for book, (names, own) in self._columns.items()
            if error.column in own
        )
        indicator = next(group[error.column] for group in self._groups.values() if error.column in group)
        fault = f"{name}, {indicator}, is {error.value}, not a finite number"
        place = f"indicators {at_candle(error.open_ms)}"
        return StrategyFault(class_path(self._strategies[book]), place, fault, owner=("", book))

    def rows_of(self, book: str, rows: IndicatorRows) -> IndicatorRows:
        """Return one strategy's view of the table: its own columns, by its own names."""
        if self._is_only_strategy:
            return rows
        names, own = self._columns[book]
        places = [0, *(1 + rows.columns.index(column) for column in own)]
        return IndicatorRows(names, rows.open_ms, rows.values[:, places])


def reach_count(strategies: Mapping[str, Strategy]) -> int:
    """Return how many candles decide a row of the strategies while the market moves."""
    counts = (
        max([one.startup_candle_count, *(indicator.reach_count for indicator in indicators_of(one).values())])
        for one in strategies.values()
    )
    return max(counts)


def _joined_columns(parts: Sequence[IndicatorRows]) -> IndicatorRows:
    columns = tuple(column for part in parts for column in part.columns)
    values = [parts[0].values, *(part.values[:, 1:] for part in parts[1:])]
    return IndicatorRows(columns, parts[0].open_ms, np.hstack(values))
