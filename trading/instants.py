"""Market times in words."""

from datetime import UTC, datetime

_MINUTE_MS = 60_000


def shown(at_ms: int) -> str:
    """Return milliseconds since the epoch for a message: a date and a time, UTC, or the number where it is no date."""
    try:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms since 1970"
    return f"{at:%Y-%m-%d %H:%M} UTC" if at_ms % _MINUTE_MS == 0 else f"{at:%Y-%m-%d %H:%M:%S} UTC"
