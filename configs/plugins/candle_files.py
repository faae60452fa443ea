"""Options of a candle file that another program wrote: one model for commands, configuration and the Python API."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from configs.services import ConfigModel, Switch
from trading.market.time_zones import Zone, zone_of

Role = Literal["time", "date", "open", "high", "low", "close", "volume"]
"""Content of a column; `date` beside `time` where a file has a column for each."""


def _is_zone(name: str) -> str:
    zone_of(name)
    return name


def _as_name(name: object) -> object:
    return str(name) if isinstance(name, int) and not isinstance(name, bool) else name


def _as_names(names: object) -> object:
    return tuple(map(_as_name, names)) if isinstance(names, list | tuple) else (_as_name(names),)


ColumnName = Annotated[str, BeforeValidator(_as_name), Field(min_length=1)]
ColumnValues = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_names)]


class CandleFileOptions(ConfigModel):
    """How to read a candle file; nothing is needed for a file in the system's own layout.

    >>> CandleFileOptions(column={"close": "Price"}, where={"Name": "AAA"}).where
    {'Name': ('AAA',)}
    """

    timezone: Annotated[str, AfterValidator(_is_zone)] | None = Field(
        default=None,
        description="Time zone of times without an offset: UTC, Europe/Berlin, or America/New_York+7h for a broker's "
        "server.",
    )
    time_format: str | None = Field(
        default=None,
        min_length=1,
        description="Format of the times, such as '%d/%m/%Y %H:%M'; or seconds, milliseconds, microseconds or "
        "nanoseconds since 1970.",
    )
    column: Mapping[Role, ColumnName] = Field(
        default_factory=dict,
        description="Columns by what they hold: time, date, open, high, low, close, volume; each a name, or a number "
        "counted from 1. {volume: none} for a file without volume.",
    )
    where: Mapping[str, ColumnValues] = Field(
        default_factory=dict,
        description="Only rows whose column has this value, or one of these, such as {Name: AAA}.",
    )
    decimal: Literal[".", ","] | None = Field(default=None, description="Decimal sign of the numbers.")
    stamped_at_close: Switch = Field(default=False, description="Times are close times, not open times.")
    clip: Switch = Field(
        default=False, description="Widen high and low to contain open and close, where rounding made them cross."
    )
    drop_closed: Switch = Field(default=False, description="Leave out candles outside the trading hours.")

    @property
    def zone(self) -> Zone | None:
        """The time zone of times without an offset."""
        return None if self.timezone is None else zone_of(self.timezone)
