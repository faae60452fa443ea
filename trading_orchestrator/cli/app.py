"""Command group of `celery -A tasks trading`.

Every `celery` command imports this module, so each subcommand's own module is imported only when it runs.
"""

import difflib
from importlib import import_module
from typing import Any, NoReturn

import click

COMMANDS = {
    "init": (
        "trading_orchestrator.cli.admin.init:init",
        "Create the configuration files of a new system in FOLDER, by default the current one.",
    ),
    "up": ("trading_orchestrator.cli.operate.up:up", "Start everything: Redis, workers, beat, Flower."),
    "status": ("trading_orchestrator.cli.inspect.status:status", "Show the status of symbols."),
    "health": (
        "trading_orchestrator.cli.operate.health:health",
        "Show each symbol's health, its problems and the recovery actions taken.",
    ),
    "events": ("trading_orchestrator.cli.inspect.events:events", "Show events, newest last."),
    "decisions": (
        "trading_orchestrator.cli.inspect.decisions:decisions",
        "Show the decision on each candle, with its reason.",
    ),
    "explain": (
        "trading_orchestrator.cli.explain.explain:explain",
        "Explain why a candle led to a trade or to none.",
    ),
    "orders": ("trading_orchestrator.cli.inspect.books:orders", "Show orders, newest last."),
    "fills": ("trading_orchestrator.cli.inspect.books:fills", "Show fills, newest last."),
    "positions": ("trading_orchestrator.cli.inspect.books:positions", "Show the open positions in the ledger."),
    "pause": ("trading_orchestrator.cli.operate.control:pause", "Pause symbols: open no new positions."),
    "resume": ("trading_orchestrator.cli.operate.control:resume", "Resume paused symbols."),
    "start": ("trading_orchestrator.cli.operate.control:start", "Start stopped symbols."),
    "stop": ("trading_orchestrator.cli.operate.control:stop", "Stop processing symbols."),
    "restart": ("trading_orchestrator.cli.operate.control:restart", "Rebuild the services of symbols."),
    "clear-quarantine": (
        "trading_orchestrator.cli.operate.health:clear_quarantine",
        "Release a symbol from quarantine.",
    ),
    "reconcile": (
        "trading_orchestrator.cli.operate.reconcile:reconcile",
        "Settle open orders and compare the ledger with the venue.",
    ),
    "flatten": (
        "trading_orchestrator.cli.operate.flatten:flatten",
        "Close all open positions of symbols.",
    ),
    "incidents": (
        "trading_orchestrator.cli.operate.incidents:incidents",
        "Show the conditions that need an operator, newest last.",
    ),
    "resolve": (
        "trading_orchestrator.cli.operate.incidents:resolve",
        "Resolve an incident, so that its symbol can send orders again.",
    ),
    "symbols": (
        "trading_orchestrator.cli.admin.symbols:symbols",
        "List, add, change and remove symbols while the system runs.",
    ),
    "fence": (
        "trading_orchestrator.cli.operate.fence:fence",
        "Show and set the fence of a symbol.",
    ),
    "check-strategy": (
        "trading_orchestrator.cli.backtest.check_strategy:check_strategy",
        "Check a strategy for look-ahead and other faults.",
    ),
    "backtest": ("trading_orchestrator.cli.backtest.backtest:backtest", "Run a backtest on recorded candles."),
    "replay": (
        "trading_orchestrator.cli.backtest.backtest:replay",
        "Replay a recorded live run and compare the results.",
    ),
    "candles": ("trading_orchestrator.cli.candles.candles:candles", "Check, convert and resample candle files."),
    "config": ("trading_orchestrator.cli.admin.config:config", "Show and check the configuration."),
    "doctor": ("trading_orchestrator.cli.operate.doctor:doctor", "Check everything that the system depends on."),
    "ledger": (
        "trading_orchestrator.cli.admin.ledger:ledger",
        "Migrate, back up, restore and verify the ledger.",
    ),
}
"""Each command in the order of the help: its import path and the first line of its own help."""


class Commands(click.Group):
    """A group that imports a command when it is called and reports its errors in one message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name.startswith("-"):
            return None  # click reports an unknown option
        if cmd_name not in COMMANDS:
            self._reject(ctx, cmd_name)
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with import_module("trading_orchestrator.cli.exit_codes").exit_on_error():
            return super().invoke(ctx)

    def _reject(self, ctx: click.Context, cmd_name: str) -> NoReturn:
        near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        ctx.fail(f"There is no command {cmd_name!r}.{hint} Commands: {', '.join(COMMANDS)}.")


@click.group(cls=Commands, subcommand_metavar="COMMAND [ARGUMENT]...")
def trading() -> None:
    """Run, monitor and control the trading system.

    \b
    Exit codes:
      0  success
      1  a check failed, or the request was rejected
      2  wrong usage, or an invalid configuration
      3  Redis or the ledger cannot be used
      4  no worker answered a control request

    Results go to stdout, errors to stderr. With --json, stdout holds only JSON; its times are milliseconds since the
    epoch, UTC, in keys that end in _ms. Times in tables are UTC.
    """
