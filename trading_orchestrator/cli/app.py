"""The verbs of `celery -A tasks trading`.

Every `celery` command imports this module, the verbs of others too, so each verb's own module is imported when it runs.
"""

import difflib
from importlib import import_module
from typing import Any, NoReturn

import click

COMMANDS = {
    "up": ("trading_orchestrator.cli.operate.up:up", "Start everything: Redis, workers, beat, Flower."),
    "status": ("trading_orchestrator.cli.inspect.status:status", "Show how symbols stand: all, or those named."),
    "health": (
        "trading_orchestrator.cli.operate.health:health",
        "Show how each symbol is, what is wrong with it, and what was done about it.",
    ),
    "events": ("trading_orchestrator.cli.inspect.events:events", "Show events, the newest last."),
    "decisions": (
        "trading_orchestrator.cli.inspect.decisions:decisions",
        "Show what was decided on each candle, and why.",
    ),
    "explain": (
        "trading_orchestrator.cli.explain.explain:explain",
        "Explain one candle: why it led to a trade, or to none.",
    ),
    "orders": ("trading_orchestrator.cli.inspect.books:orders", "Show orders, the newest last."),
    "fills": ("trading_orchestrator.cli.inspect.books:fills", "Show fills, the newest last."),
    "positions": ("trading_orchestrator.cli.inspect.books:positions", "Show the open positions of the ledger."),
    "pause": ("trading_orchestrator.cli.operate.control:pause", "Open no new positions on symbols."),
    "resume": ("trading_orchestrator.cli.operate.control:resume", "Let paused symbols open positions again."),
    "start": ("trading_orchestrator.cli.operate.control:start", "Let stopped symbols run again."),
    "stop": ("trading_orchestrator.cli.operate.control:stop", "Do nothing more for symbols."),
    "restart": ("trading_orchestrator.cli.operate.control:restart", "Build the services of symbols anew."),
    "clear-quarantine": (
        "trading_orchestrator.cli.operate.health:clear_quarantine",
        "Let a symbol work again that was quarantined.",
    ),
    "reconcile": (
        "trading_orchestrator.cli.operate.reconcile:reconcile",
        "Settle open orders, and compare ledger and venue.",
    ),
    "flatten": (
        "trading_orchestrator.cli.operate.flatten:flatten",
        "Close all that is open of symbols, without a signal.",
    ),
    "incidents": (
        "trading_orchestrator.cli.operate.incidents:incidents",
        "Show what a person must look at, the newest last.",
    ),
    "resolve": (
        "trading_orchestrator.cli.operate.incidents:resolve",
        "Close an incident, so that its symbol may send orders again.",
    ),
    "symbols": (
        "trading_orchestrator.cli.admin.symbols:symbols",
        "List symbols; add, change and remove them while everything runs.",
    ),
    "check-strategy": (
        "trading_orchestrator.cli.backtest.check_strategy:check_strategy",
        "Look for look-ahead and other faults in a strategy.",
    ),
    "backtest": ("trading_orchestrator.cli.backtest.backtest:backtest", "Run a backtest on recorded candles."),
    "replay": ("trading_orchestrator.cli.backtest.backtest:replay", "Replay what a live run recorded, and compare."),
    "candles": ("trading_orchestrator.cli.candles.candles:candles", "Check, convert and resample files of candles."),
    "config": ("trading_orchestrator.cli.admin.config:config", "Show and check the configuration."),
    "doctor": ("trading_orchestrator.cli.operate.doctor:doctor", "Check what the system stands on."),
    "ledger": (
        "trading_orchestrator.cli.admin.ledger:ledger",
        "Migrate, copy and check the ledger, or say how it stands.",
    ),
}
"""Each verb in the order of the help: where it is, and the first line of its own help, so that nothing is imported."""


class Commands(click.Group):
    """A group that imports a verb when it is called, and says in one message what kept it from working."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name.startswith("-"):
            return None  # click says what is wrong with an option
        if cmd_name not in COMMANDS:
            self._refuse(ctx, cmd_name)
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with import_module("trading_orchestrator.cli.exit_codes").telling_faults():
            return super().invoke(ctx)

    def _refuse(self, ctx: click.Context, cmd_name: str) -> NoReturn:
        near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        ctx.fail(f"There is no verb {cmd_name!r}.{hint} Verbs: {', '.join(COMMANDS)}.")


@click.group(cls=Commands, subcommand_metavar="VERB [ARGUMENT]...")
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
