"""The progress of settling: which actions of a comparison are carried out now, and which must wait."""

from collections.abc import Iterator, Sequence

from trading.execution.reconciliation.actions import (
    Action,
    CancelOrder,
    RaiseIncident,
    ResendStop,
    SubmitOrder,
    WaitForStop,
    WaitForVenue,
)

_WAITING = (WaitForVenue, WaitForStop, RaiseIncident)


class SettleProgress:
    """The progress of one call of `OrderManager.settle`.

    Attributes:
        done: Actions executed so far.
        waiting: Actions of the newest comparison that must wait; its incidents are among them.
        waited_s: Seconds waited so far.
    """

    def __init__(self, waits: Iterator[float], *, is_dry_run: bool) -> None:
        self.done: list[Action] = []
        self.waiting: list[Action] = []
        self.waited_s = 0.0
        self._waits = waits
        self._is_dry_run = is_dry_run
        self._due: list[Action] = []
        self._sent: set[str] = set()

    def take(self, actions: Sequence[Action]) -> list[Action]:
        """Register the actions of a comparison, and return those to execute now."""
        held = [self._hold_back(action) for action in actions if not self._is_skipped(action)]
        self.waiting = [action for action in held if isinstance(action, _WAITING)]
        self._due = [action for action in held if not isinstance(action, _WAITING)]
        self.done += self._due
        return self._due

    def wait(self) -> bool:
        """Wait before the next comparison; return False, and do not wait, when the retry budget is used up."""
        wait_s = next(self._waits, None)
        if wait_s is None:
            return False
        self.waited_s += wait_s
        self._sent.clear()
        return True

    @property
    def has_only_incidents(self) -> bool:
        """Whether the newest comparison requires nothing except notifying an operator."""
        return not self._due and all(isinstance(action, RaiseIncident) for action in self.waiting)

    def _is_skipped(self, action: Action) -> bool:
        return self._is_dry_run and isinstance(action, CancelOrder | ResendStop | WaitForStop)

    def _hold_back(self, action: Action) -> Action:
        """Return the action, or a wait where it was sent since the last wait, or a dry run must not send it."""
        match action:
            case ResendStop(move, naked) if self._was_sent(f"{move.entry_id} {move.after}"):
                return WaitForStop(move, "sent a moment ago, and not shown yet", naked)
            case SubmitOrder(intent) if self._is_dry_run:
                return WaitForVenue(intent, "this is a dry run")
            case SubmitOrder(intent) if self._was_sent(intent.request.client_order_id):
                return WaitForVenue(intent, "sent a moment ago without an answer")
        return action

    def _was_sent(self, identity: str) -> bool:
        """Return whether it was sent since the last wait; from now on it counts as sent."""
        was_sent = identity in self._sent
        self._sent.add(identity)
        return was_sent
