"""Check a strategy: compare its signals live, with few rows and no future, with those of a backtest."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trading.indicators.rows import IndicatorRows
from trading.risk.signal_filters import EntryRules, refusal
from trading.strategies import Strategy
from trading.strategies.signal import Signal, SignalSide
from trading.strategy_checks.exit_hook import check_hook
from trading.strategy_checks.findings import CheckName, Report, SeriesSummary
from trading.strategy_checks.probe import NOTHING, Answer, difference, evaluate, shown
from trading.strategy_checks.synthetic_series import Series
from trading.strategy_checks.warm_up import check_value_then, check_warm_up, longer_window, rows_of

_MOST_ROWS = 1_000
"""The largest allowed setting of the live system's rows."""
_COMPARED_WITH_MORE = 20
_ANY_MINUTE = "1m"
_PRICES = EntryRules(max_signal_age_s=1.0)


def candles_needed(strategy: Strategy, rows: int) -> int:
    """Return the number of candles for `rows` rows, plus enough history to check the warm-up of the last ones."""
    return max(strategy.startup_candle_count + rows, longer_window(strategy.startup_candle_count) + rows // 3) - 1


def examine(
    make: Callable[[], Strategy],
    series: Sequence[Series],
    *,
    rows_limit: int,
    least_rows: int,
    rows: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Report:
    """Call a strategy at each candle as live and as a backtest would, and report differences.

    Args:
        make: Create the strategy anew, with the same parameters each time.
        series: Checked candles, each series with at least `startup_candle_count` of them.
        rows_limit: Rows that it is given live.
        least_rows: Minimum number of rows for a live call, at least 1.
        rows: Newest candles of each series to check; fewer if the history before them is too short.
        advance: Called with the number of further candles done, in total `rows` for each of `series`.
    """
    strategy = make()
    report = Report(strategy.startup_candle_count, rows_limit, least_rows)
    trials = [_Trial(make, one, report) for one in series]
    for trial in trials:
        advance(rows - trial.run(rows, advance))
    _search_rows([trial for trial in trials if trial.windowed], report)
    return report


class _Trial:
    """The check of one strategy on one series.

    Attributes:
        windowed: Rows whose signal depends on the number of rows given to the strategy.
    """

    def __init__(self, make: Callable[[], Strategy], series: Series, report: Report) -> None:
        self._make = make
        self._strategy = make()
        self._series = series
        self._report = report
        self._rows = IndicatorRows((), np.empty(0, np.int64), np.empty((0, 1)))
        self._whole: Mapping[int, Signal] = {}
        self.windowed: list[int] = []

    def run(self, rows: int, advance: Callable[[int], None]) -> int:
        """Check the series, and return the number of candles reported to `advance`."""
        values = rows_of(self._strategy, self._series, rows, self._report)
        if values is None or not len(values):
            return 0
        check_value_then(self._strategy, self._series, values, self._report)
        check_warm_up(self._strategy, self._series, values, self._report)
        self._rows = values
        whole = evaluate(self._strategy, self._rows)
        self._whole = whole.signals
        self._check_mutation(whole)
        if whole.fault:
            self._add(CheckName.ERROR, self._open_ms(-1), "signals", "signals for all rows", whole.fault)
            return 0
        self._tried(len(self._rows), CheckName.NAN, CheckName.MUTATION, CheckName.ERROR)
        self._check_prices(whole)
        check_hook(self._make, self._series, self._rows, self._report)
        self._add_summary(whole)
        return self._check_live(whole, advance) if self._is_repeatable(whole) else 0

    def agrees_with(self, rows_limit: int) -> bool:
        """Return whether this number of rows gives the signals of the whole history, where fewer did not.

        Rows with no more history than that prove nothing and are left out; without any other the answer is no.
        """
        places = [row for row in self.windowed if row >= rows_limit][-_COMPARED_WITH_MORE:]
        if not places:
            return False
        return all(
            difference(self._whole.get(self._open_ms(row)), self._live(row, rows_limit)) is None for row in places
        )

    def _check_live(self, whole: Answer, advance: Callable[[int], None]) -> int:
        for row in range(len(self._rows)):
            if row + 1 >= self._report.least_rows:
                self._check_row(row, whole)
            advance(1)
        return len(self._rows)

    def _check_row(self, row: int, whole: Answer) -> None:
        open_ms = self._open_ms(row)
        expected_signal = whole.signals.get(open_ms)
        live = self._evaluate_live(row, self._report.rows_limit)
        if live.fault:
            expected = NOTHING if expected_signal is None else expected_signal.side.value
            self._add(CheckName.ERROR, open_ms, "signals", expected, f"with {len(live.given)} rows {live.fault}")
            return
        self._tried(1, CheckName.LOOK_AHEAD, CheckName.WINDOW)
        unlike = difference(expected_signal, live.signals.get(open_ms))
        if unlike is None:
            return
        then = evaluate(self._strategy, self._rows[: row + 1], last=1).signals.get(open_ms)
        before = difference(then, expected_signal)
        if before is not None:
            self._add(CheckName.LOOK_AHEAD, open_ms, *before)
        else:
            self._add(CheckName.WINDOW, open_ms, *unlike)
            self.windowed.append(row)

    def _check_mutation(self, whole: Answer) -> None:
        before, after = self._rows.frame(), whole.given
        if not after.index.equals(before.index):
            self._add(CheckName.MUTATION, self._open_ms(0), "index", "the rows as they were", "other rows")
            return
        for name in [*before.columns, *(name for name in after.columns if name not in before.columns)]:
            if name not in before.columns or name not in after.columns:
                expected, found = ("the column", "removed") if name in before.columns else ("no such column", "added")
                self._add(CheckName.MUTATION, self._open_ms(0), str(name), expected, found)
            elif not after[name].equals(before[name]):
                row = int((after[name] != before[name]).to_numpy().argmax())
                values = shown(before[name].iloc[row]), shown(after[name].iloc[row])
                self._add(CheckName.MUTATION, self._open_ms(row), str(name), *values)

    def _check_prices(self, whole: Answer) -> None:
        for open_ms, name, value in whole.unusable:
            self._add(CheckName.NAN, open_ms, name, "a price above 0" if name != "size_units" else "a size", f"{value}")
        for signal in whole.signals.values():
            closed_ms = signal.decided_ms(_ANY_MINUTE)
            if signal.stop_loss is not None or signal.take_profit is not None:
                self._tried(1, CheckName.STOP_SIDE)
            refused = refusal(signal, _PRICES, timeframe=_ANY_MINUTE, as_of_ms=closed_ms)
            if refused is not None:
                column = "take_profit" if refused.rule == "target_side" else "stop_loss"
                side = "above" if (signal.side is SignalSide.SELL) == (column == "stop_loss") else "below"
                expected = f"{side} the price {shown(signal.price)} of the {signal.side.value}"
                self._add(CheckName.STOP_SIDE, signal.open_ms, column, expected, shown(getattr(signal, column)))

    def _is_repeatable(self, whole: Answer) -> bool:
        """Return whether the same rows give the same answer again, from this strategy and from a new instance."""
        is_same = True
        for strategy in (self._strategy, self._make()):
            again = evaluate(strategy, self._rows)
            if again.fault:
                self._add(CheckName.REPEAT, self._open_ms(0), "signals", "the same answer again", again.fault)
                return False
            self._tried(len(self._rows), CheckName.REPEAT)
            for open_ms in sorted(whole.signals.keys() | again.signals.keys()):
                unlike = difference(whole.signals.get(open_ms), again.signals.get(open_ms))
                if unlike is not None:
                    self._add(CheckName.REPEAT, open_ms, *unlike)
                    is_same = False
        return is_same

    def _add_summary(self, whole: Answer) -> None:
        sides = Counter(signal.side for signal in whole.signals.values())
        self._report.looked.append(
            SeriesSummary(
                self._series.name,
                len(self._rows),
                sides[SignalSide.BUY],
                sides[SignalSide.SELL],
                sides[SignalSide.CLOSE],
                len(self._series.candles),
            )
        )

    def _live(self, row: int, rows_limit: int) -> Signal | None:
        return self._evaluate_live(row, rows_limit).signals.get(self._open_ms(row))

    def _evaluate_live(self, row: int, rows_limit: int) -> Answer:
        return evaluate(self._strategy, self._rows[max(0, row + 1 - rows_limit) : row + 1], last=1)

    def _open_ms(self, row: int) -> int:
        return int(self._rows.open_ms[row])

    def _tried(self, candles: int, *checks: CheckName) -> None:
        for check in checks:
            self._report.tried[check] += candles

    def _add(self, check: CheckName, open_ms: int, column: str, expected: str, found: str) -> None:
        self._report.add(check, self._series.name, open_ms, column, expected, found)


def _search_rows(trials: Sequence[_Trial], report: Report) -> None:
    """Search the smallest number of rows with which no signal differs from that of the whole history.

    The strategy is called for each number tried, at the newest candles whose signal differed. Doubling finds a number
    that is enough; bisection finds the smallest one between it and the largest that was not.
    """
    if not trials:
        return

    def is_enough(count: int) -> bool:
        report.row_counts_tried.append(count)
        return all(trial.agrees_with(count) for trial in trials)

    short, enough = report.rows_limit, min(2 * report.rows_limit, _MOST_ROWS)
    while not is_enough(enough):
        if enough == _MOST_ROWS:
            return
        short, enough = enough, min(2 * enough, _MOST_ROWS)
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if is_enough(middle) else (middle, enough)
    report.rows_enough = enough
