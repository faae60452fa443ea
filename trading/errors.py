"""Errors, named by the reaction that they require.

TradingError
├── Rejected    a rule does not allow it: record it and continue
│   ├── UnknownSymbol
│   └── InvalidMessage  a message contradicts store, ledger or configuration: nothing of it was executed
├── Transient   an external system failed: retry
└── Broken      an invariant is violated: stop and notify an operator
    ├── BadCandle     a candle that must not reach a strategy
    └── StrategyFault a strategy that raised or returned no valid answer, see `trading.strategies.errors`

Interrupted     a call was ended from outside; this is no evidence against the code that was running
"""

from trading.formatting import format_time

_LONGEST_SYMBOL = 60
"""Characters of a symbol that a message shows; a request can hold any text."""


class TradingError(Exception):
    """Base of all errors of this project.

    Pass fields positionally to `Exception` and build the text in `__str__`: only such exceptions survive a task queue.
    """


class Interrupted(Exception):
    """A running call was ended from outside, for example by a time limit."""


class Rejected(TradingError):
    """A rule rejected a request; `rule` is the rule's id, `reason` explains it with the values compared."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(rule, reason)
        self.rule = rule
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"


class InvalidMessage(Rejected):
    """A message that contradicts store, ledger or configuration. Nothing of it was executed, and it is not retried.

    `is_counted` is True once a service has counted it.
    """

    is_counted = False


class Transient(TradingError):
    """An external system failed, and a retry may succeed; `where` names the system."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class Broken(TradingError):
    """An invariant is violated; processing must not continue."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return self.what


class BadCandle(Broken):
    """A candle that must not reach a strategy.

    `open_ms` is its open time and `fault` describes the problem with the values found. `symbol` and `place`, such as
    file and line, are empty where unknown.
    """

    def __init__(self, open_ms: int, fault: str, symbol: str = "", place: str = "") -> None:
        super().__init__(fault)
        self.args = (open_ms, fault, symbol, place)
        self.open_ms = open_ms
        self.fault = fault
        self.symbol = symbol
        self.place = place

    def __str__(self) -> str:
        subject = f"{self.symbol} candle" if self.symbol else "candle"
        return f"{subject} of {format_time(self.open_ms)}: {self.fault}" + (f"; {self.place}" if self.place else "")


class UnknownSymbol(Rejected):
    """A symbol that is not configured.

    Attributes:
        known: The configured symbols.
        file: Path of the file that configures them; empty where there is none.
    """

    def __init__(self, symbol: str, known: tuple[str, ...], file: str = "") -> None:
        super().__init__("unknown_symbol", symbol)
        self.args = (symbol, tuple(known), file)
        self.symbol = symbol
        self.known = tuple(known)
        self.file = file

    def __str__(self) -> str:
        shown = self.symbol if len(self.symbol) <= _LONGEST_SYMBOL else f"{self.symbol[:_LONGEST_SYMBOL]}..."
        see = f" (see {self.file})" if self.file else ""
        return f"unknown symbol {shown!r}; known are: {', '.join(self.known)}{see}"
