"""The time that one message may spend waiting for a venue: for answers, and for orders and fills to become visible."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec import Struct

from trading.errors import Transient

T = TypeVar("T")

_FIRST_WAIT_S = 0.02
_LONGEST_WAIT_S = 0.5


class PatienceTerms(Struct, frozen=True):
    """The limits of one message.

    Attributes:
        wait_s: Total seconds of waiting, beyond twice the venue's visibility time; orders that are open then are left
            for the next message.
        deadline_s: Seconds after which nothing is retried, regardless of the venue's response times; below the time
            limit of a step, so that differences can still be recorded.
    """

    wait_s: float = 5.0
    deadline_s: float = 8.0


class RetryBudget:
    """The remaining waiting time of the current message."""

    def __init__(self, terms: PatienceTerms, *, sleep_s: Callable[[float], None], now_s: Callable[[], float]) -> None:
        """Create an empty budget.

        Args:
            sleep_s: Waits for a number of seconds.
            now_s: Monotonic clock, in seconds.
        """
        self._terms = terms
        self._sleep_s = sleep_s
        self._now_s = now_s
        self.renew(0.0)

    def renew(self, visibility_s: float) -> None:
        """Start the budget of a new message."""
        self._visibility_s = visibility_s
        self._left_s = self._terms.wait_s + 2 * visibility_s
        self._deadline_s = self._now_s() + self._terms.deadline_s

    def waits(self) -> Iterator[float]:
        """Wait before each step, longer each time, and yield the seconds; end when the budget is used up."""
        wait_s = _FIRST_WAIT_S
        while self._left_s > 0 and self._now_s() < self._deadline_s:
            wait_s = min(wait_s, self._left_s)
            self._left_s -= wait_s
            self._sleep_s(wait_s)
            yield wait_s
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def is_long(self, waited_s: float) -> bool:
        """Return whether a difference has lasted too long, after `waited_s`, to be a delay of the venue."""
        is_late = self._now_s() >= self._deadline_s
        return is_late or waited_s >= self._terms.wait_s / 2 + self._visibility_s

    def call(self, read: Callable[[], T]) -> T:
        """Call a read of the venue, and retry it while it raises Transient and the budget lasts.

        Raises:
            Transient: The last attempt failed too.
        """
        try:
            return read()
        except Transient as first:
            error = first
        for _ in self.waits():
            try:
                return read()
            except Transient as again:
                error = again
        raise error
