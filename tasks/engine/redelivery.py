"""How the tasks that are no steps of a chain are delivered: acknowledged at their end, and never obeyed too late.

A worker takes its next message as soon as it has acknowledged the one before. Did it so before a task that then hangs,
it would take a pause from the control queue and sit on it, where another worker would have carried it out at once. But
what is acknowledged at its end may come again, `visibility_timeout` after its worker died. Then
`request.delivery_info["redelivered"]` says so: kombu sets it whenever it puts a message back.
"""

import logging
from typing import Any

from tasks.engine.log_context import LoggedTask
from trading.errors import Rejected

logger = logging.getLogger(__name__)


class ControlTask(LoggedTask):
    """A task that changes what is wanted: refused when it comes again, because it could undo what was said since."""

    throws = (Rejected,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it.

        Raises:
            Rejected: It was delivered before, and the worker that had it did not come to its end.
        """
        if (self.request.delivery_info or {}).get("redelivered"):
            logger.warning("control_refused task=%s task_id=%s reason=delivered again", self.name, self.request.id)
            raise Rejected(
                "delivered_again",
                f"the worker that had this {self.name} ended, and something else may have been asked for since; "
                "see what holds (tasks.status), and ask again",
            )
        return self.run(*args, **kwargs)


ANSWERING: dict[str, Any] = {"ignore_result": False, "acks_late": True, "reject_on_worker_lost": False}
"""Options of a task that answers, and that does no harm when it is run again."""

CONTROLLING: dict[str, Any] = {**ANSWERING, "base": ControlTask}
"""Options of a task that changes what is wanted of a symbol."""
