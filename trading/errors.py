"""Errors, named by the reaction they call for.

TradingError
├── Rejected    the rules say no: record it and go on
│   └── UnknownSymbol
├── Transient   the outside failed: try again
└── Broken      an invariant is false: stop and tell a person
    ├── BadCandle     a candle that must not reach a strategy
    └── StrategyFault a strategy that raised or gave no answer, see `trading.strategies.errors`

Interrupted     something from outside ended what ran: it says nothing of the code that it hit
"""

from trading.formatting import format_time


class TradingError(Exception):
    """Base of all errors of this project.

    Fields go positionally to `Exception`, and the text is made in `__str__`: only such exceptions survive a task queue.
    """


class Interrupted(Exception):
    """What ran was ended from outside, as by a time limit."""


class Rejected(TradingError):
    """A rule refused; `rule` names it and `reason` says why, with the numbers."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(rule, reason)
        self.rule = rule
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"


class Transient(TradingError):
    """Something outside failed and may work when asked again; `where` names it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class Broken(TradingError):
    """An invariant does not hold; nothing may go on as if it did."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return self.what


class BadCandle(Broken):
    """A candle that must not reach a strategy.

    `open_ms` is its open time, `fault` what is wrong with it, with the numbers; `symbol` and `place`, such as file and
    line, are empty where they are not known.
    """

    def __init__(self, open_ms: int, fault: str, symbol: str = "", place: str = "") -> None:
        super().__init__(fault)
        self.args = (open_ms, fault, symbol, place)
        self.open_ms = open_ms
        self.fault = fault
        self.symbol = symbol
        self.place = place

    def __str__(self) -> str:
        whose = f"{self.symbol} candle" if self.symbol else "candle"
        return f"{whose} of {format_time(self.open_ms)}: {self.fault}" + (f"; {self.place}" if self.place else "")


class UnknownSymbol(Rejected):
    """A symbol that is not configured; `known` are those that are."""

    def __init__(self, symbol: str, known: tuple[str, ...]) -> None:
        super().__init__("unknown_symbol", symbol)
        self.args = (symbol, tuple(known))
        self.symbol = symbol
        self.known = tuple(known)

    def __str__(self) -> str:
        return f"unknown symbol {self.symbol!r}; known are: {', '.join(self.known)} (see configs/symbols.yaml)"
