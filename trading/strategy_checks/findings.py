"""What a trial of a strategy found."""

from collections import Counter
from enum import StrEnum

from msgspec import Struct, field

_KEPT = 3
"""Findings kept of each check and column: the first ones; the others are counted."""


class CheckName(StrEnum):
    """What is looked for, in the order in which it is told."""

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
    CheckName.WARM_UP: "no series was long enough, or each had stretches without trades",
}


class Finding(Struct, frozen=True):
    """One thing that is wrong at one candle.

    Attributes:
        series: Name of the candles.
        open_ms: Open time of the candle, milliseconds since the epoch, UTC.
        column: An indicator, or a part of the signal: `side`, `stop_loss`, `take_profit`, `size_units`, `reason`.
        expected: What should have come, and `found` what came, as text.
    """

    check: CheckName
    series: str
    open_ms: int
    column: str
    expected: str
    found: str


class Looked(Struct, frozen=True):
    """One series: how many candles the strategy was asked about, and what it said of them."""

    series: str
    candles: int
    buys: int
    sells: int
    closes: int


class Report(Struct):
    """What was looked at and found.

    Attributes:
        startup_candle_count: Candles from which each indicator value is computed.
        rows_limit: Rows that the strategy is shown live, and `least_rows` those with which it is asked at least.
        rows_enough: Of the `window` findings: with so many rows they would be none; None when no number was found.
        findings: The first ones of each check and column.
        counts: How many there are of each check.
        tried: At how many candles each check was made, of `stop side` at how many entries.
    """

    startup_candle_count: int
    rows_limit: int
    least_rows: int
    rows_enough: int | None = None
    looked: list[Looked] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[CheckName] = field(default_factory=Counter)
    tried: Counter[CheckName] = field(default_factory=Counter)
    _columns: Counter[tuple[CheckName, str]] = field(default_factory=Counter)

    @property
    def is_sound(self) -> bool:
        """Whether something was looked at, and nothing found."""
        return not self.counts and self.candles > 0

    def untried(self, check: CheckName) -> str:
        """Return why a check looked at no candle; empty where it did, or found something all the same."""
        if self.tried[check] or self.counts[check]:
            return ""
        if self.candles and check in _UNTRIED:
            return _UNTRIED[check]
        if self.tried[CheckName.REPEAT] and self.counts[CheckName.REPEAT]:
            return "it does not say the same twice, so that answers cannot be compared"
        return "it did not answer each time it was asked" if self.candles else "it could not be asked about any candle"

    @property
    def candles(self) -> int:
        """Candles that the strategy was asked about."""
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
        """Return the findings that were kept of one check."""
        return [finding for finding in self.findings if finding.check is check]
