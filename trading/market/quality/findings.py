"""Findings of the candle checks."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice

from msgspec import Struct

_SHOWN = 5


class Severity(StrEnum):
    """Severity of a finding: `wrong` must be corrected, `doubt` must be reviewed, `note` is information."""

    WRONG = "wrong"
    DOUBT = "doubt"
    NOTE = "note"


class Place(Struct, frozen=True):
    """The location of a finding.

    Attributes:
        open_ms: Open time, milliseconds since the epoch, UTC; None if none could be read.
        text: Description of the values there.
        row: Row in the file, counted from 0; None for a finding between rows.
    """

    open_ms: int | None
    text: str
    row: int | None = None


class Found(Struct, frozen=True):
    """All findings of one kind; a count of 0 means that the check ran and found nothing.

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
    """Create a finding that keeps the first few of `places`, which may be lazy."""
    return Found(check, severity, count, tuple(islice(places, _SHOWN)))
