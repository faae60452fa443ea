"""Findings of a strategy check."""

from collections import Counter
from enum import StrEnum

from msgspec import Struct, field

_KEPT = 3
"""Number of findings kept per check and column: the first ones; the others are only counted."""


class CheckName(StrEnum):
    """The checks, in the order of the report."""

    LOOK_AHEAD = "look-ahead"
    WINDOW = "window"
    WARM_UP = "warm-up"
    NAN = "nan"
    STOP_SIDE = "stop side"
    REPEAT = "repeat"
    MUTATION = "mutation"
    ERROR = "error"


_UNTRIED = {
    CheckName.STOP_SIDE: "no entry had a stop or a target",
    CheckName.WARM_UP: "no series was long enough",
}


class Finding(Struct, frozen=True):
    """One fault at one candle.

    Attributes:
        series: Name of the candles.
        open_ms: Open time of the candle, milliseconds since the epoch, UTC.
        column: An indicator, or a part of the signal: `side`, `stop_loss`, `take_profit`, `size_units`, `reason`.
        expected: The expected value, as text; `found` is the actual one.
    """

    check: CheckName
    series: str
    open_ms: int
    column: str
    expected: str
    found: str


class SeriesSummary(Struct, frozen=True):
    """One series: the number of checked candles, the strategy's signals, and the number of candles in all."""

    series: str
    candles: int
    buys: int
    sells: int
    closes: int
    length: int


class Report(Struct):
    """The result of a strategy check.

    Attributes:
        startup_candle_count: Number of candles per indicator value.
        rows_limit: Rows that the strategy is given live; `least_rows` is their minimum.
        rows_enough: Smallest number of rows with which the `window` findings disappear; None if no tried number
            suffices, or nothing was found.
        row_counts_tried: The numbers of rows that were tried to find it, in order.
        findings: The first findings of each check and column.
        counts: Number of findings per check.
        tried: Number of candles per check; for `stop side` the number of entries.
    """

    startup_candle_count: int
    rows_limit: int
    least_rows: int
    rows_enough: int | None = None
    row_counts_tried: list[int] = field(default_factory=list)
    looked: list[SeriesSummary] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[CheckName] = field(default_factory=Counter)
    tried: Counter[CheckName] = field(default_factory=Counter)
    _columns: Counter[tuple[CheckName, str]] = field(default_factory=Counter)

    @property
    def is_sound(self) -> bool:
        """Whether candles were checked and nothing was found."""
        return not self.counts and self.candles > 0

    def untried(self, check: CheckName) -> str:
        """Return why a check covered no candle; empty if it did, or if it found something anyway."""
        if self.tried[check] or self.counts[check]:
            return ""
        if self.candles and check in _UNTRIED:
            return _UNTRIED[check]
        if self.tried[CheckName.REPEAT] and self.counts[CheckName.REPEAT]:
            return "it does not say the same twice, so that answers cannot be compared"
        return "it did not answer at every evaluation" if self.candles else "it could not be evaluated at any candle"

    @property
    def candles(self) -> int:
        """Number of candles at which the strategy was called."""
        return sum(one.candles for one in self.looked)

    @property
    def signals(self) -> int:
        return sum(one.buys + one.sells + one.closes for one in self.looked)

    def add(self, check: CheckName, series: str, open_ms: int, column: str, expected: str, found: str) -> None:
        self.counts[check] += 1
        self._columns[check, column] += 1
        if self._columns[check, column] <= _KEPT:
            self.findings.append(Finding(check, series, open_ms, column, expected, found))

    def of(self, check: CheckName) -> list[Finding]:
        """Return the kept findings of one check."""
        return [finding for finding in self.findings if finding.check is check]
