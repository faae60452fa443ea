"""Errors of a strategy, reported to its author: strategy, method, candle, and the lines of the author's own code."""

import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Self

from pydantic import ValidationError

from trading.errors import Broken, Interrupted, Transient
from trading.formatting import format_time
from trading.strategies.own_source import line_of

_OURS = frozenset({"trading", "configs", "adapters", "tasks", "worker", "beat", "trading_orchestrator"})
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_EXITING = frozenset({"_sitebuiltins", "argparse"})
"""Modules that end a program on purpose: `exit()`, and argparse for invalid arguments."""

_LINES = 3
"""Number of own lines reported: the last ones, where the error occurred."""
_LONGEST = 400


class StrategyFault(Broken):
    """A strategy raised or returned an invalid answer. The cause is the error it raised.

    Attributes:
        strategy: Its class, as named in `symbols.yaml`.
        place: Method and candle: `signals`, `manage_position`, `indicators`.
        fault: The error that it raised, or the value found and the values allowed.
        lines: Lines of its own code, innermost last: `file, line 7, in signals: the line`.
        owner: Symbol and the strategy's name there; empty outside of a symbol.
    """

    def __init__(
        self, strategy: str, place: str, fault: str, lines: tuple[str, ...] = (), owner: tuple[str, str] = ("", "")
    ) -> None:
        super().__init__(fault)
        self.args = (strategy, place, fault, tuple(lines), tuple(owner))
        self.strategy = strategy
        self.place = place
        self.fault = fault
        self.lines = tuple(lines)
        self.owner = tuple(owner)

    @property
    def whose(self) -> tuple[str, ...]:
        """Former name of `owner`."""
        return self.owner

    def __str__(self) -> str:
        return "; ".join([self.summary, *self.lines])

    @property
    def summary(self) -> str:
        """The error without the code lines."""
        symbol, name = self.owner
        named = f"{name} ({self.strategy})" if name not in ("", self.strategy) else self.strategy
        return f"{symbol}{': ' if symbol else ''}strategy {named}: {self.place}: {self.fault}"

    def of(self, symbol: str, name: str, at: str = "") -> Self:
        """Return the fault with its symbol, strategy name and candle."""
        place = f"{self.place} {at}" if at else self.place
        return type(self)(self.strategy, place, self.fault, self.lines, (symbol, name))


def class_path(strategy: object) -> str:
    """Return a strategy's class as named in `symbols.yaml`."""
    kind = strategy if isinstance(strategy, type) else type(strategy)
    return f"{kind.__module__}:{kind.__qualname__}"


def at_candle(open_ms: int) -> str:
    """Format a candle for a message."""
    return f"at the candle {format_time(open_ms)}"


def from_candle(open_ms: int) -> str:
    """Format the first of several candles evaluated in one call; the failing one is unknown."""
    return f"from the candle {format_time(open_ms)} on"


def raised(
    strategy: object, place: str, error: BaseException, method: object, names: Iterable[str] = ()
) -> StrategyFault:
    """Create the fault for an error raised by a strategy's code.

    Args:
        method: The called method; its definition is reported if the traceback has no line of the user's code.
        names: Names available in a row, reported with a KeyError.
    """
    there = ", ".join(names) if isinstance(error, KeyError) else ""
    lines = own_lines(error) or _definition(method)
    return StrategyFault(
        class_path(strategy), place, f"{describe(error)}; a row has: {there}" if there else describe(error), lines
    )


def answered(strategy: object, place: str, found: str, allowed: str, method: object) -> StrategyFault:
    """Create the fault for an invalid answer; `found` describes the answer."""
    return StrategyFault(class_path(strategy), place, f"answered {found}; allowed: {allowed}", _definition(method))


def is_its_own(error: BaseException) -> bool:
    """Return whether an error is evidence of a fault in the code that raised it.

    External failures are retried, a call that took too long was ended from outside, and a lack of memory hits any code.
    User code that calls `exit` counts, because it would end the process silently.
    """
    if isinstance(error, Exception):
        return not isinstance(error, (Transient, Interrupted, MemoryError))
    return isinstance(error, SystemExit) and _is_raised_in_own_code(error)


def describe(error: BaseException) -> str:
    """Format an error on one line."""
    if isinstance(error, ValidationError):
        faults = [f"{'.'.join(map(str, one['loc'])) or error.title}: {one['msg']}" for one in error.errors()]
        return _cut(f"{error.title}: {'; '.join(faults)}")
    if isinstance(error, Broken):  # already a complete message
        return _cut(str(error))
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # `__str__` of the user's class failed: report its type instead
        text = ""
    return _cut(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def own_lines(error: BaseException) -> tuple[str, ...]:
    """Return the last traceback lines in the user's own code, without this project's and library lines."""
    lines = [_line(frame) for frame in _frames(error.__traceback__) if _is_own(frame)]
    if isinstance(error, SyntaxError) and error.filename:
        text = f": {error.text.strip()}" if error.text else ""
        lines.append(f"{_short(error.filename)}, line {error.lineno}{text}")
    return tuple(lines[-_LINES:])


def brief(found: object) -> str:
    """Format a value for a message: its repr if short, otherwise its type."""
    try:
        text = repr(found)
    except Exception:  # noqa: BLE001  # `__repr__` of the user's class may fail
        text = "\n"
    if len(text) <= 60 and "\n" not in text:
        return text
    kind = type(found).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def is_users_module(module: ModuleType) -> bool:
    """Return whether a module is the user's: neither of this project nor of the standard library or a package."""
    file = getattr(module, "__file__", None)
    return bool(file) and module.__name__ != "__main__" and _is_users_code(module.__name__, str(file))


def _is_own(frame: TracebackType) -> bool:
    return _is_users_code(_module(frame), frame.tb_frame.f_code.co_filename)


def _is_users_code(module: str, file: str) -> bool:
    if module.partition(".")[0] in _OURS or not file.endswith(".py"):
        return False
    return not any(Path(file).is_relative_to(folder) for folder in _LIBRARIES)


def _module(frame: TracebackType) -> str:
    return str(frame.tb_frame.f_globals.get("__name__", ""))


def _is_raised_in_own_code(error: BaseException) -> bool:
    frames = [frame for frame in _frames(error.__traceback__) if _module(frame) not in _EXITING]
    return bool(frames) and _is_own(frames[-1])


def _line(frame: TracebackType) -> str:
    code, number = frame.tb_frame.f_code, frame.tb_lineno
    text = line_of(frame.tb_frame, number)
    return f"{_short(code.co_filename)}, line {number}, in {code.co_name}: {text}"


def _definition(method: object) -> tuple[str, ...]:
    """Return the location of a method's definition; empty for this project's methods and non-Python callables."""
    method = method.fget if isinstance(method, property) else method
    code = getattr(method, "__code__", None)
    if not isinstance(code, CodeType) or str(getattr(method, "__module__", "")).partition(".")[0] in _OURS:
        return ()
    return (f"{_short(code.co_filename)}, line {code.co_firstlineno}, in {code.co_name}",)


def _short(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
