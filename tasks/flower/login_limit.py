"""Limit of failed logins for each address, so that a password cannot be guessed by trying."""

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

FAILURES = 10
"""Failed logins of an address within `WINDOW_S` after which it must wait."""
WINDOW_S = 60.0
ADDRESSES = 10_000
"""Addresses remembered; beyond it the one whose last failure is oldest is forgotten."""


class LoginLimit:
    """Counts the failed logins of each address; IPv6 addresses count by their network of 64 bits."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._failed_at_s: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return the seconds until the address may try again; 0 if it may try now."""
        times = self._failed_at_s.get(_origin(address))
        if times is None or len(times) < FAILURES:
            return 0.0
        return max(0.0, times[0] + WINDOW_S - self._now_s())

    def failed(self, address: str) -> int:
        """Count a failed login, and return the number of the address's failures within `WINDOW_S`."""
        origin, now_s = _origin(address), self._now_s()
        times = self._failed_at_s.setdefault(origin, deque(maxlen=FAILURES))
        times.append(now_s)
        self._failed_at_s.move_to_end(origin)
        while len(self._failed_at_s) > ADDRESSES:
            self._failed_at_s.popitem(last=False)
        return sum(now_s - at_s < WINDOW_S for at_s in times)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        self._failed_at_s.pop(_origin(address), None)


def _origin(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket has none
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
