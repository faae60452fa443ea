"""Names of symbols: each is the name of a queue, so it must not be a key that Celery or kombu use in Redis."""

import re

CONTROL_NAME = "control"

SYMBOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,19}$"
_SYMBOL = re.compile(SYMBOL_PATTERN)
_OF_KOMBU = re.compile(r"unacked(_index|_mutex|\..*)?|celery(ev)?([._-].*)?|.*\.pidbox", re.IGNORECASE)
"""Messages without acknowledgement, the default queue, results, events and remote control."""


def symbol_fault(name: str) -> str:
    """Return the names that are allowed in place of this one; empty if it is allowed."""
    if not _SYMBOL.fullmatch(name):
        return "1 to 20 letters, digits, dots, hyphens and underscores, the first a letter or digit"
    if name.lower() == CONTROL_NAME:
        return f"any other name: {name!r} is the queue of the control tasks"
    if _OF_KOMBU.fullmatch(name):
        return f"any other name: {name!r} is a name that Celery uses in Redis"
    return ""
