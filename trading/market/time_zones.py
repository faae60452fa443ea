"""Time zones of recorded times: an IANA name, and hours ahead of it."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

_ZONE = re.compile(r"(?P<name>[A-Za-z][\w/+-]*?)(?:(?P<sign>[+-])(?P<hours>\d{1,2})h)?")


class Zone(Struct, frozen=True):
    """A time zone with an optional shift in hours: brokers' servers often use New York plus seven."""

    name: str
    ahead: timedelta = timedelta()

    def __str__(self) -> str:
        return f"{self.name}{self.ahead.total_seconds() / 3600:+g}h" if self.ahead else self.name


def zone_of(text: str) -> Zone:
    """Return the zone of a name such as `UTC`, `Europe/Berlin` or `America/New_York+7h`.

    Raises:
        ValueError: There is no such zone.
    """
    match = _ZONE.fullmatch(text)
    try:
        name = match["name"] if match else text
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"{text!r}: expected an IANA name such as UTC or Europe/Berlin, and hours ahead of it, as in "
            "America/New_York+7h"
        ) from error
    hours = int(match["hours"]) * (1 if match["sign"] == "+" else -1) if match and match["hours"] else 0
    return Zone(name, timedelta(hours=hours))
