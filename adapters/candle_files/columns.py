"""Find the columns of time, prices and volume: by the user's word, else by name, else by the usual order."""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from adapters.candle_files.errors import CandleFileError

_TIMES = (
    ("timestamp",),
    ("open time",),
    ("unix",),
    ("unix timestamp",),
    ("datetime",),
    ("date time",),
    ("gmt time",),
    ("time utc",),
    ("utc",),
    ("local time",),
    ("date", "time"),
    ("time",),
    ("date",),
    ("t",),
)
"""Names of the open time's columns, by priority."""
_UTC_NAMES = {"gmt time", "time utc", "utc", "time gmt"}
_PRICE_ROLES = ("open", "high", "low", "close")
_PRICES = (("open", "o", "open price"), ("high", "h", "max"), ("low", "l", "min"), ("close", "c", "close/last", "last"))
_VOLUMES = ("volume", "tickvol", "tick volume", "tickvolume", "vol", "v", "base volume")
_SIMILAR = {"close": ("price", "adj close", "settle", "settlement", "closing price")}
"""Names that may stand for a column; the user has to say so."""
_BINANCE_FIELDS = 12
NONE = "none"


class Columns(Struct, frozen=True):
    """Numbers of the columns.

    Attributes:
        times: One column, or two for date and time of day.
        prices: Open, high, low, close.
        volume: None without a volume column.
        names: Names of all columns.
        zone: Zone in the name of the time's column, such as EET in `Time (EET)`.
        is_volume_certain: The volume has a name, or the user named it.
    """

    times: tuple[int, ...]
    prices: tuple[int, ...]
    volume: int | None
    names: tuple[str, ...]
    zone: str | None = None
    is_volume_certain: bool = True

    @property
    def used(self) -> set[int]:
        """Numbers of the columns that are read."""
        return {*self.times, *self.prices, *(() if self.volume is None else (self.volume,))}

    @property
    def unused(self) -> tuple[int, ...]:
        """Numbers of the columns that are not read."""
        return tuple(number for number in range(len(self.names)) if number not in self.used)


def plain_name(name: str) -> str:
    """Return a column's name without the decoration of other programs: `<TICKVOL>`, `Open_Time`, `1. open`."""
    text = re.sub(r"^\d+\.\s*", "", name.strip().strip("<>").lower())
    return re.sub(r"[\s_().\[\]]+", " ", text).strip()


def has_prices(names: Sequence[str]) -> bool:
    """Return whether open, high, low and close are among the names."""
    plain = {plain_name(name) for name in names}
    return all(plain & set(allowed) for allowed in _PRICES)


def place_of_column(where: str, names: Sequence[str], column: str, option: str) -> int:
    """Return the number of a column that the user names, or numbers from 1.

    Raises:
        CandleFileError: There is no such column, or there are several.
    """
    for like in (str, plain_name):
        found = [number for number, name in enumerate(names) if like(name) == like(column)]
        if len(found) == 1:
            return found[0]
        if found:
            numbers = " or ".join(str(number + 1) for number in found)
            raise CandleFileError(
                f"{where}: {option} {column}: several columns have this name; choose one by its number: {numbers}"
            )
    if column.isdecimal() and 1 <= int(column) <= len(names):
        return int(column) - 1
    raise CandleFileError(f"{where}: {option} {column}: no such column; found {_listed(names)}")


def named_columns(where: str, names: Sequence[str], named: Mapping[str, str]) -> Columns:
    """Return the columns of a file with a header.

    Args:
        where: Name of the file for errors.
        named: Columns that the user names, by role.

    Raises:
        CandleFileError: The time or a price is missing, or a name stands for several columns.
    """
    given = _given(where, names, named)
    places = _places(names)
    times, zone = _times(names, places, given)
    prices = [given.get(role, _first(places, allowed)) for role, allowed in zip(_PRICE_ROLES, _PRICES, strict=True)]
    missing = [
        role for role, place in zip(("time", *_PRICE_ROLES), (times or None, *prices), strict=True) if place is None
    ]
    if missing:
        raise CandleFileError(_missing_text(where, names, missing))
    volume = given["volume"] if "volume" in given else _volume(places)
    known = tuple(place for place in prices if place is not None)
    found = Columns(times, known, volume, tuple(names), zone)
    _check_distinct(where, names, places, found, given)
    return found


def unnamed_columns(where: str, count: int, named: Mapping[str, str], *, has_time_of_day: bool) -> Columns:
    """Return the columns of a file without a header: date and time, or one time, then the prices in the usual order."""
    names = tuple(f"column {number + 1}" for number in range(count))
    given = _given(where, names, named)
    first = 2 if has_time_of_day else 1
    times = tuple(range(first))
    if "time" in given or "date" in given:
        times = tuple(place for role in ("date", "time") if (place := given.get(role)) is not None)
        first = max(times) + 1
    prices = tuple(
        first + number if (place := given.get(role)) is None else place for number, role in enumerate(_PRICE_ROLES)
    )
    if max(prices) >= count:
        raise CandleFileError(
            f"{where}: has {count} columns and no header; needed are a time and open, high, low, close; name columns "
            "by their numbers, such as --column time=1 --column open=2"
        )
    volume = given["volume"] if "volume" in given else first + 4 if count > first + 4 else None
    is_certain = "volume" in given or count == _BINANCE_FIELDS
    found = Columns(times, prices, volume, names, is_volume_certain=is_certain)
    _check_distinct(where, names, {}, found, given)
    return found


def _given(where: str, names: Sequence[str], named: Mapping[str, str]) -> dict[str, int | None]:
    return {
        role: None
        if role == "volume" and column.lower() == NONE
        else place_of_column(where, names, column, f"--column {role}=")
        for role, column in named.items()
    }


def _places(names: Sequence[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for number, name in enumerate(names):
        places.setdefault(plain_name(str(name)), number)
    return places


def _first(places: Mapping[str, int], allowed: Sequence[str]) -> int | None:
    return next((places[name] for name in allowed if name in places), None)


def _times(
    names: Sequence[str], places: Mapping[str, int], given: Mapping[str, int | None]
) -> tuple[tuple[int, ...], str | None]:
    """Return the columns of the time, empty if there are none, and the zone in their name."""
    named = tuple(place for role in ("date", "time") if (place := given.get(role)) is not None)
    if named:
        return named, _zone_in(names[named[-1]])
    group = next((group for group in _TIMES if all(name in places for name in group)), None)
    if group is not None:
        return tuple(places[name] for name in group), _zone_in(names[places[group[0]]])
    zoned = [number for number, name in enumerate(names) if _zone_in(name)]
    if zoned:
        return (zoned[0],), _zone_in(names[zoned[0]])
    is_index = plain_name(names[0]) in {"", "index", "unnamed: 0"}
    return ((0,) if is_index else ()), None


def _zone_in(name: str) -> str | None:
    """Return the zone in the name of a time's column, such as `Time (EET)`."""
    plain = plain_name(name)
    if plain in _UTC_NAMES:
        return "UTC"
    match = re.fullmatch(r"\s*<?(?:date|time|datetime|date time)\s*[\[(]\s*([A-Za-z][\w/+-]*)\s*[\])]>?\s*", name, re.I)
    return match[1] if match else None


def _volume(places: Mapping[str, int]) -> int | None:
    exact = _first(places, _VOLUMES)
    if exact is not None:
        return exact
    return next((number for name, number in places.items() if re.match(r"volume ", name)), None)  # `Volume BTC`


def _check_distinct(
    where: str, names: Sequence[str], places: Mapping[str, int], found: Columns, given: Mapping[str, int | None]
) -> None:
    roles = dict(zip((*_PRICE_ROLES, "volume"), (*found.prices, found.volume), strict=True))
    read = [*found.times, *(place for place in roles.values() if place is not None)]
    if len(set(read)) < len(read):
        raise CandleFileError(
            f"{where}: one column would be read twice; found {_listed(names)}; name each column once, such as "
            "--column open=2 --column close=5"
        )
    for role, place in roles.items():
        if place is None or role in given or not places:
            continue
        alike = [number + 1 for number, name in enumerate(names) if plain_name(name) == plain_name(names[place])]
        if len(alike) > 1:
            numbers = " and ".join(map(str, alike))
            raise CandleFileError(
                f"{where}: columns {numbers} are both named {names[place]!r}; choose one: --column {role}={alike[0]}"
            )


def _missing_text(where: str, names: Sequence[str], missing: Sequence[str]) -> str:
    options = " ".join(f"--column {role}={_proposal(role, names)}" for role in missing)
    return (
        f"{where}: found the columns {_listed(names)}; needed are a time (such as timestamp, time, or date with time) "
        f"and open, high, low, close; missing: {', '.join(missing)}; name them: {options}"
    )


def _proposal(role: str, names: Sequence[str]) -> str:
    similar = [name for like in _SIMILAR.get(role, ()) for name in names if plain_name(name) == like]
    return f"'{similar[0]}'" if similar and " " in similar[0] else similar[0] if similar else "NAME"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "''" for name in map(str, names))
