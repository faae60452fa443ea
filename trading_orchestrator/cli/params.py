"""Parameter types of the command line: times, numbers and groups of commands."""

import math
from datetime import UTC, datetime
from typing import Any

import click

from trading.formatting import format_minute

FIRST_MS, LAST_MS = 0, 7_258_118_400_000
"""From 1970 up to 2200, UTC."""


def instant(_ctx: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Read an ISO instant as milliseconds since the epoch; a day, or a time without an offset, is in UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected an ISO time such as 2026-04-01 or 2026-04-01T08:30Z") from error
    at_ms = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    if not FIRST_MS <= at_ms < LAST_MS:
        raise click.BadParameter(f"{text!r}: expected a time from 1970 to 2200")
    return at_ms


def in_order(from_ms: int | None, to_ms: int | None) -> None:
    """Reject an empty time range, as reversed --from and --to make it.

    Raises:
        click.UsageError: `from_ms` is not before `to_ms`.
    """
    if from_ms is None or to_ms is None or from_ms < to_ms:
        return
    hint = "they are reversed" if from_ms > to_ms else "--to is exclusive, so the range is empty"
    raise click.UsageError(f"--from {format_minute(from_ms)} UTC is not before --to {format_minute(to_ms)} UTC: {hint}")


MOST = 2**31 - 1
"""The largest integer that every store accepts in a query."""


class Finite(click.FloatRange):
    """A range of finite numbers: click's own range accepts `nan` and `inf`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not in the range {self._describe_range()}: it is not a finite number.", param, ctx)
        return found


class Whole(click.IntRange):
    """A range of integers, from `least` to the largest that every store accepts in a query."""

    name = "whole number"

    def __init__(self, least: int) -> None:
        super().__init__(min=least, max=MOST)


class CommandGroup(click.Group):
    """A group that lists its commands when an unknown one is called."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None and not cmd_name.startswith("-"):
            ctx.fail(f"{ctx.info_name} has no command {cmd_name!r}; commands: {', '.join(self.list_commands(ctx))}")
        return found
