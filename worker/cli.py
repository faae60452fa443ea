"""The verbs of `celery -A tasks trading`.

Every `celery` command imports this module, the verbs of others too, so each verb's own module is imported when it runs.
"""

import difflib
from importlib import import_module
from typing import Any, NoReturn

import click

VERBS = {
    "up": "worker.commands.up:up",
    "status": "worker.commands.status:status",
    "events": "worker.commands.events:events",
    "decisions": "worker.commands.decisions:decisions",
    "orders": "worker.commands.books:orders",
    "fills": "worker.commands.books:fills",
    "positions": "worker.commands.books:positions",
    "pause": "worker.commands.control:pause",
    "resume": "worker.commands.control:resume",
    "start": "worker.commands.control:start",
    "stop": "worker.commands.control:stop",
    "restart": "worker.commands.control:restart",
    "config": "worker.commands.config:config",
    "doctor": "worker.commands.doctor:doctor",
    "ledger": "worker.commands.ledger:ledger",
}
"""Each verb, in the order of the help, and where it is."""


class Verbs(click.Group):
    """A group that imports a verb when it is called, and says in one message what kept it from working."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name.startswith("-"):
            return None  # click says what is wrong with an option
        if cmd_name not in VERBS:
            self._refuse(ctx, cmd_name)
        module, name = VERBS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        with import_module("worker.commands.outcome").telling_faults():
            return super().invoke(ctx)

    def _refuse(self, ctx: click.Context, cmd_name: str) -> NoReturn:
        near = difflib.get_close_matches(cmd_name, VERBS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        ctx.fail(f"There is no verb {cmd_name!r}.{hint} Verbs: {', '.join(VERBS)}.")


@click.group(cls=Verbs)
def trading() -> None:
    """Run the trading system, look at it, and control it.

    \b
    Exit codes:
      0  done
      1  the answer is no: a check failed, or the request was refused
      2  wrong usage, or a configuration that cannot be used
      3  Redis or the ledger cannot be used
      4  no worker answered a control request

    Answers go to stdout, faults to stderr. With --json stdout holds JSON alone; there, times are milliseconds since the
    epoch, UTC, in keys that end in _ms. Times in tables are UTC.
    """
