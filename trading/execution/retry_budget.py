"""How long one message waits for a venue: for an answer, and for the venue to make up its mind."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec import Struct

from trading.errors import Transient

T = TypeVar("T")

_FIRST_WAIT_S = 0.02
_LONGEST_WAIT_S = 0.5


class PatienceTerms(Struct, frozen=True):
    """How long.

    Attributes:
        wait_s: Seconds that one message waits in all, beyond twice the venue's visibility time; what is open then is
            left for the next one.
        deadline_s: Seconds after which one message asks nothing again, however long the venue's answers took; below the
            time limit of a step, so that what is wrong is still written down.
    """

    wait_s: float = 5.0
    deadline_s: float = 8.0


class RetryBudget:
    """What is left of it in the message that is worked on."""

    def __init__(self, terms: PatienceTerms, *, sleep_s: Callable[[float], None], now_s: Callable[[], float]) -> None:
        """Make it.

        Args:
            sleep_s: Waits.
            now_s: A clock in seconds that never goes back.
        """
        self._terms = terms
        self._sleep_s = sleep_s
        self._now_s = now_s
        self.renew(0.0)

    def renew(self, visibility_s: float) -> None:
        """Begin a message: what waiting may cost is counted anew."""
        self._visibility_s = visibility_s
        self._left_s = self._terms.wait_s + 2 * visibility_s
        self._deadline_s = self._now_s() + self._terms.deadline_s

    def waits(self) -> Iterator[float]:
        """Wait before each step, longer each time, and yield the seconds; end when nothing is left of it."""
        wait_s = _FIRST_WAIT_S
        while self._left_s > 0 and self._now_s() < self._deadline_s:
            wait_s = min(wait_s, self._left_s)
            self._left_s -= wait_s
            self._sleep_s(wait_s)
            yield wait_s
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def is_long(self, waited_s: float) -> bool:
        """Return whether something was looked at for long enough to be believed."""
        is_late = self._now_s() >= self._deadline_s
        return is_late or waited_s >= self._terms.wait_s / 2 + self._visibility_s

    def ask(self, question: Callable[[], T]) -> T:
        """Ask something that changes nothing, again when there is no answer.

        Raises:
            Transient: There was none at all.
        """
        try:
            return question()
        except Transient as first:
            trouble = first
        for _ in self.waits():
            try:
                return question()
            except Transient as again:
                trouble = again
        raise trouble
