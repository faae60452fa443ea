"""What was found in candles."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice

from msgspec import Struct

_SHOWN = 5


class Severity(StrEnum):
    """How much a finding matters: `wrong` must be mended, `doubt` looked at, `note` is only told."""

    WRONG = "wrong"
    DOUBT = "doubt"
    NOTE = "note"


class Place(Struct, frozen=True):
    """Where something was found.

    Attributes:
        open_ms: Open time, milliseconds since the epoch, UTC; None where none could be read.
        text: What is there.
        row: Place in the file, counted from 0; None for what lies between rows.
    """

    open_ms: int | None
    text: str
    row: int | None = None


class Found(Struct, frozen=True):
    """One kind of finding; a count of 0 says that it was looked for.

    Attributes:
        first: The first few places.
    """

    check: str
    severity: Severity
    count: int
    first: tuple[Place, ...] = ()

    @property
    def is_wrong(self) -> bool:
        return self.count > 0 and self.severity is Severity.WRONG


def found(check: str, severity: Severity, count: int, places: Iterable[Place]) -> Found:
    """Make a finding that keeps the first few of `places`, which may be lazy."""
    return Found(check, severity, count, tuple(islice(places, _SHOWN)))
