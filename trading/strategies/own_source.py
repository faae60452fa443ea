"""The source of the user's modules as it was when they were imported, for messages that quote a line of it."""

import linecache
from collections.abc import Mapping, Sequence
from types import FrameType, ModuleType
from typing import Any

_LINES = "__imported_source__"
"""Global of a module: its lines, as imported. The file may have been edited since."""


def keep_source(module: ModuleType, text: str) -> None:
    """Record the source of a module just imported; tracebacks of this process quote it from now on.

    `linecache` rereads a file that has changed, which would show a new line beside an old error. It keeps an entry
    without a modification time.
    """
    lines = text.splitlines(keepends=True)
    module.__dict__[_LINES] = lines
    if module.__file__:
        linecache.cache[module.__file__] = (len(text), None, lines, module.__file__)


def kept_source(module: ModuleType) -> str | None:
    """Return the source of a module as it was imported; None where it was not recorded."""
    lines = _lines(module.__dict__)
    return None if lines is None else "".join(lines)


def line_of(frame: FrameType, number: int) -> str:
    """Return the line of a frame's code as it was imported, without surrounding blanks; empty if it is unknown."""
    lines = _lines(frame.f_globals)
    if lines is None:
        return linecache.getline(frame.f_code.co_filename, number).strip()
    return lines[number - 1].strip() if number <= len(lines) else ""


def _lines(namespace: Mapping[str, Any]) -> Sequence[str] | None:
    return namespace.get(_LINES)
