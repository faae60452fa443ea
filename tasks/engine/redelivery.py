"""Delivery of the tasks that are no pipeline steps: acknowledged at their end, rejected when redelivered.

A worker reserves its next message as soon as it has acknowledged the one before. With early acknowledgement, a worker
that hangs in a task would hold a reserved pause that another worker could run at once. With late acknowledgement, a
message is redelivered `visibility_timeout` after its worker died; kombu then sets
`request.delivery_info["redelivered"]`.
"""

import logging
from typing import Any

from tasks.engine.log_context import LoggedTask
from trading.errors import Rejected

logger = logging.getLogger(__name__)


LONGEST_ARGUMENT = 1_000
"""Characters of a text in the arguments of a task: a reason goes to the ledger, the events and the log."""


class AnsweringTask(LoggedTask):
    """A task that returns a result; rejected when an argument is too long."""

    throws = (Rejected,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task.

        Raises:
            Rejected: An argument is too long.
        """
        for value in (*args, *kwargs.values()):
            if len(text := value if isinstance(value, str) else repr(value)) > LONGEST_ARGUMENT:
                found = f"found an argument of {len(text):,} characters; allowed: at most {LONGEST_ARGUMENT:,}"
                raise Rejected("argument", f"{self.name}: {found}")
        return self.run(*args, **kwargs)


class ControlTask(AnsweringTask):
    """A task that changes a desired state; rejected when redelivered, because it could undo a newer command."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task.

        Raises:
            Rejected: An argument is too long, or it was delivered before, to a worker that died.
        """
        if (self.request.delivery_info or {}).get("redelivered"):
            logger.warning("control_rejected task=%s task_id=%s reason=delivered again", self.name, self.request.id)
            raise Rejected(
                "delivered_again",
                f"{self.name} was redelivered after its worker died and was not executed, because a newer command may "
                "exist; check tasks.status, then send it again",
            )
        return super().__call__(*args, **kwargs)


ANSWERING: dict[str, Any] = {
    "base": AnsweringTask,
    "ignore_result": False,
    "acks_late": True,
    "reject_on_worker_lost": False,
}
"""Options of an idempotent task that returns a result."""

CONTROLLING: dict[str, Any] = {**ANSWERING, "base": ControlTask}
"""Options of a task that changes the desired state of a symbol."""
