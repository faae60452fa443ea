"""What a strategy did wrong, told to who wrote it: which one, where, at which candle, and by which of its own lines."""

import linecache
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, TracebackType
from typing import Self

from pydantic import ValidationError

from trading.errors import Broken, Interrupted, Transient
from trading.formatting import format_time

_OURS = frozenset({"trading", "configs", "adapters", "tasks", "worker", "beat", "trading_orchestrator"})
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_EXITING = frozenset({"_sitebuiltins", "argparse"})
"""What ends a program when it is called: `exit()`, and a parser of arguments that it does not like."""

_LINES = 3
"""Lines of its own that are told: the last ones, where the error arose."""
_LONGEST = 400


class StrategyFault(Broken):
    """A strategy raised, or answered with what is no answer. The cause is the error it raised.

    Attributes:
        strategy: Its class, as `symbols.yaml` names it.
        place: Where in it: `signals`, `manage_position`, `indicators`, and at which candle.
        fault: The error that it raised, or what was found and what is allowed.
        lines: Of its own code, the innermost one last: `file, line 7, in signals: the line`.
        whose: The symbol and the name that the strategy has there; empty where it was asked on its own.
    """

    def __init__(
        self, strategy: str, place: str, fault: str, lines: tuple[str, ...] = (), whose: tuple[str, str] = ("", "")
    ) -> None:
        super().__init__(fault)
        self.args = (strategy, place, fault, tuple(lines), tuple(whose))
        self.strategy = strategy
        self.place = place
        self.fault = fault
        self.lines = tuple(lines)
        self.whose = tuple(whose)

    def __str__(self) -> str:
        return "; ".join([self.summary, *self.lines])

    @property
    def summary(self) -> str:
        """What is wrong, without the lines."""
        symbol, name = self.whose
        named = f"{name} ({self.strategy})" if name not in ("", self.strategy) else self.strategy
        return f"{symbol}{': ' if symbol else ''}strategy {named}: {self.place}: {self.fault}"

    def of(self, symbol: str, name: str, at: str = "") -> Self:
        """Return it with whose strategy it was, and at which candle."""
        place = f"{self.place} {at}" if at else self.place
        return type(self)(self.strategy, place, self.fault, self.lines, (symbol, name))


def class_path(strategy: object) -> str:
    """Return a strategy's class as `symbols.yaml` names it."""
    kind = strategy if isinstance(strategy, type) else type(strategy)
    return f"{kind.__module__}:{kind.__qualname__}"


def at_candle(open_ms: int) -> str:
    """Return a candle for a message."""
    return f"at the candle {format_time(open_ms)}"


def from_candle(open_ms: int) -> str:
    """Return for a message candles that were asked about in one call: it is not known at which of them it failed."""
    return f"from the candle {format_time(open_ms)} on"


def raised(
    strategy: object, place: str, error: BaseException, method: object, names: Iterable[str] = ()
) -> StrategyFault:
    """Return what is told of an error that came out of a strategy's code.

    Args:
        method: What was called: where it is defined is told where the error has no line in the user's own code.
        names: What a row has, which is told where something was looked for by its name.
    """
    there = ", ".join(names) if isinstance(error, KeyError) else ""
    lines = own_lines(error) or _definition(method)
    return StrategyFault(
        class_path(strategy), place, f"{describe(error)}; a row has: {there}" if there else describe(error), lines
    )


def answered(strategy: object, place: str, found: str, allowed: str, method: object) -> StrategyFault:
    """Return what is told of an answer that is none; `found` is the answer in words."""
    return StrategyFault(class_path(strategy), place, f"answered {found}; allowed: {allowed}", _definition(method))


def is_its_own(error: BaseException) -> bool:
    """Return whether an error says something of the code that it came from.

    What did not answer outside is asked again, a step that took too long was ended from outside, and memory is
    wanting to whoever asks next. Code of the user's that exits would end the process without a word.
    """
    if isinstance(error, Exception):
        return not isinstance(error, (Transient, Interrupted, MemoryError))
    return isinstance(error, SystemExit) and _is_raised_in_own_code(error)


def describe(error: BaseException) -> str:
    """Return an error on one line."""
    if isinstance(error, ValidationError):
        faults = [f"{'.'.join(map(str, one['loc'])) or error.title}: {one['msg']}" for one in error.errors()]
        return _cut(f"{error.title}: {'; '.join(faults)}")
    if isinstance(error, Broken):  # words of ours already
        return _cut(str(error))
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # its own words fail: what it is can be told all the same
        text = ""
    return _cut(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def own_lines(error: BaseException) -> tuple[str, ...]:
    """Return the last lines of the traceback that are the user's own code, without ours and those of libraries."""
    lines = [_line(frame) for frame in _frames(error.__traceback__) if _is_own(frame)]
    if isinstance(error, SyntaxError) and error.filename:
        text = f": {error.text.strip()}" if error.text else ""
        lines.append(f"{_short(error.filename)}, line {error.lineno}{text}")
    return tuple(lines[-_LINES:])


def brief(found: object) -> str:
    """Return what was found for a message: its text where that is short, else its kind."""
    try:
        text = repr(found)
    except Exception:  # noqa: BLE001  # the user's own class may not know how to show itself
        text = "\n"
    if len(text) <= 60 and "\n" not in text:
        return text
    kind = type(found).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_own(frame: TracebackType) -> bool:
    file = frame.tb_frame.f_code.co_filename
    module = _module(frame)
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
    text = linecache.getline(code.co_filename, number).strip()
    return f"{_short(code.co_filename)}, line {number}, in {code.co_name}: {text}"


def _definition(method: object) -> tuple[str, ...]:
    """Return where a method is defined; nothing for one of ours, and for what is no function of Python's."""
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
