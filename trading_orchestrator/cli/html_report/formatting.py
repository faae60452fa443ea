"""Format numbers for display; an undefined value is a dash."""

from trading.formatting import NONE


def percent(fraction: float | None, *, signed: bool = False) -> str:
    """Return a fraction as percent: 0.1 is `10.00 %`."""
    if fraction is None:
        return NONE
    text = f"{fraction * 100:+,.2f} %" if signed else f"{fraction * 100:,.2f} %"
    return "0.00 %" if text in ("+0.00 %", "-0.00 %") else text


def ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:,.2f}"


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: `3 d 4 h`, `12 min 5 s`."""
    if seconds is None:
        return NONE
    left = round(seconds)
    parts: list[str] = []
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part) or "0 s"
