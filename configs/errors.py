"""Errors of the configuration: all of them at once, each with the required change."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from trading.errors import Broken

_SECRET_NAME = re.compile(r"password|passwd|secret|token|credential|api_?key|private_?key|(^|_)url$", re.IGNORECASE)
_LONGEST_SHOWN = 60


class ConfigError(Broken):
    """The configuration is invalid; each of `faults` is one line: location, value found, value allowed."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))
        self.args = (self.faults,)


def fault_line(where: str, path: Sequence[str | int], found: Any, allowed: str) -> str:
    """Format `configs/symbols.yaml: symbols.XAUUSD.timeframe: found '7x'; allowed: ...`, with secrets masked."""
    return f"{where}: {dotted(path)}: found {shown(path, found)}; allowed: {allowed}"


def dotted(path: Sequence[str | int]) -> str:
    """Format a key path: `symbols.XAUUSD.risk.units`."""
    return ".".join(str(part) for part in path) or "the whole file"


def is_secret(path: Sequence[str | int]) -> bool:
    """Return whether the value at a key path is a secret.

    Settings hold secrets as `SecretStr`. The files also have free mappings, such as the parameters of a strategy,
    without declared types: there the name of a key on the path is the marker.
    """
    return any(isinstance(part, str) and _SECRET_NAME.search(part) for part in path)


def shown(path: Sequence[str | int], found: Any) -> str:
    """Format a value for an error message: short, and masked if it is a secret."""
    if is_secret(path):
        return "*** (hidden)"
    if isinstance(found, dict):
        return "a mapping" if found else "an empty mapping"
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    text = repr(found)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def unknown_key(path: Sequence[str | int], known: Iterable[str], *, elsewhere: str = "") -> str:
    """Describe an unknown key, with a hint where it belongs or the nearest known key, and all known keys.

    Args:
        elsewhere: Location at which the file has a key of this name, if any.
    """
    names = {name.lower(): name for name in sorted(known)}
    key = str(path[-1])
    near = [elsewhere] if elsewhere else [names[one] for one in difflib.get_close_matches(key.lower(), names, n=1)]
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{dotted(path)}: unknown key '{key}'; {hint}known keys: {', '.join(names.values())}"
