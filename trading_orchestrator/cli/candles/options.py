"""Options of the commands that read candle files: those of `CandleFileOptions`, the keys of a `file` source."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from configs.plugins.candle_files import CandleFileOptions
from trading.market.time_zones import zone_of

Command = TypeVar("Command", bound=Callable[..., Any])


def _read_zone(ctx: click.Context, option: click.Parameter, text: str | None) -> str | None:
    try:
        if text is not None:
            zone_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return text


_OPTIONS = (
    click.option(
        "--timezone",
        callback=_read_zone,
        metavar="ZONE",
        help="Time zone of times without an offset, such as UTC or America/New_York+7h.",
    ),
    click.option(
        "--time-format",
        metavar="FORMAT",
        help="Format of times, such as '%d/%m/%Y %H:%M'; or seconds, milliseconds, microseconds, nanoseconds.",
    ),
    click.option(
        "--column",
        multiple=True,
        metavar="ROLE=NAME",
        help="A column by what it holds, such as close=Price or volume=none; time, date, open, high, low, close, "
        "volume; NAME may be a number; repeatable.",
    ),
    click.option(
        "--where",
        multiple=True,
        metavar="NAME=VALUE",
        help="Only rows with this value, such as Name=AAA; repeatable.",
    ),
    click.option("--decimal", type=click.Choice([".", ","]), help="Decimal sign of the numbers."),
    click.option("--stamped-at-close", is_flag=True, help="Times are close times, not open times."),
    click.option("--clip", is_flag=True, help="Widen high and low to contain open and close."),
    click.option("--drop-closed", is_flag=True, help="Leave out candles of closed hours."),
)
_NAMES = ("timezone", "time_format", "column", "where", "decimal", "stamped_at_close", "clip", "drop_closed")


def candle_file_options(command: Command) -> Command:
    """Add the options of a candle file to a command, which gets them as `options`."""

    @wraps(command)
    def with_options(*args: Any, **given: Any) -> Any:
        read = {name: given.pop(name) for name in _NAMES}
        return command(*args, options=_options(read), **given)

    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options  # type: ignore[return-value]  # the same command, with parameters of its own


def _options(given: dict[str, Any]) -> CandleFileOptions:
    pairs = {"column": _pairs("--column", given["column"], "close=Price")}
    where: dict[str, list[str]] = {}
    for name, value in _pairs("--where", given["where"], "Name=AAA"):
        where.setdefault(name, []).append(value)
    try:
        return CandleFileOptions(**{**given, "column": dict(pairs["column"]), "where": where})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise click.UsageError(
            f"--{place.replace('_', '-')}: found {first['input']!r}: {first['msg']}; a column is one of time, date, "
            "open, high, low, close, volume, such as --column close=Price"
        ) from error


def _pairs(option: str, texts: Sequence[str], example: str) -> list[tuple[str, str]]:
    parts = [text.partition("=") for text in texts]
    for text, (name, sign, value) in zip(texts, parts, strict=True):
        if not (name.strip() and sign and value.strip()):
            raise click.UsageError(f"{option} {text}: expected NAME=VALUE, such as {option} {example}")
    return [(name.strip(), value.strip()) for name, _, value in parts]
