"""Detect the layout of a text file of candles: encoding, delimiter, header and columns."""

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SAMPLE_LINES = 50
_LEAST_FIELDS = 5
_DELIMITERS = ("\t", ";", ",")

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
_UTC_NAMES = {"gmt time", "time utc", "utc"}
_PRICES = (("open", "o", "open price"), ("high", "h", "max"), ("low", "l", "min"), ("close", "c", "close/last", "last"))
_VOLUMES = ("volume", "tickvol", "tick volume", "tickvolume", "vol", "v", "base volume")


class CandleFileError(ValueError):
    """A file cannot be used as candles; the message holds the reason and the action."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Numbers of the columns.

    Attributes:
        times: One column, or two for date and time of day.
        prices: Open, high, low, close.
        volume: None without a volume column.
        is_utc: The name of the time's column states UTC.
        left_out: Names of the columns that are not read.
    """

    times: tuple[int, ...]
    prices: tuple[int, ...]
    volume: int | None
    is_utc: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Numbers:
    """Number format.

    Attributes:
        decimal: Decimal separator.
        between: Thousands separator; empty for none.
    """

    decimal: str = "."
    between: str = ""


_POINT, _COMMA = Numbers(".", ","), Numbers(",", ".")


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a text file.

    Attributes:
        skipped_lines: Lines before the first line of data: a preamble and the header.
        field_count: Fields per line.
        kind: Description of the layout, as text.
    """

    encoding: str
    delimiter: str
    numbers: Numbers
    skipped_lines: int
    field_count: int
    columns: Columns
    kind: str


def layout_of(path: Path) -> Layout:
    """Detect the layout of a text file from its first lines.

    Raises:
        CandleFileError: It is not a text with at least a time and four prices in distinguishable columns.
    """
    encoding = _encoding(path)
    try:
        with _opened(path, encoding) as file:
            lines = [line.rstrip("\r\n") for line in islice(file, _SAMPLE_LINES)]
    except (UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise CandleFileError(f"{path}: cannot be read as text: {error}") from error
    delimiter, field_count = _delimiter(path, lines)
    rows = [(number, _fields(line, delimiter)) for number, line in enumerate(lines)]
    rows = [(number, fields) for number, fields in rows if len(fields) == field_count]
    header = next(((number, fields) for number, fields in rows if _is_header(fields)), None)
    first = rows[0][0] if header is None else header[0] + 1
    sample = [fields for number, fields in rows if number >= first]
    columns = _unnamed(path, sample) if header is None else _named(path, header[1])
    return Layout(
        encoding,
        delimiter,
        _numbers(path, sample, columns, delimiter),
        first,
        field_count,
        columns,
        _kind(delimiter, field_count, columns, has_header=header is not None),
    )


def columns_by_name(path: Path, names: Sequence[str]) -> Columns:
    """Return the columns by their names.

    Raises:
        CandleFileError: The time or a price is missing.
    """
    return _named(path, names)


def is_compressed(path: Path) -> bool:
    """Return whether the content of the file is gzipped, independent of its name."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def _opened(path: Path, encoding: str) -> TextIO:
    if is_compressed(path):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _encoding(path: Path) -> str:
    with gzip.open(path) if is_compressed(path) else path.open("rb") as file:
        try:
            begin = file.read(4)
        except (OSError, EOFError, zlib.error) as error:
            raise CandleFileError(f"{path}: cannot be read: {error}") from error
    if begin.startswith(_ZIP):
        raise CandleFileError(f"{path}: is a zip archive; unpack it first")
    return next((name for mark, name in _MARKS if begin.startswith(mark)), "utf-8")


def _delimiter(path: Path, lines: Sequence[str]) -> tuple[str, int]:
    """Return the delimiter and the number of fields of most lines."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise CandleFileError(f"{path}: is empty")
    for delimiter in _DELIMITERS:
        counts = Counter(len(_fields(line, delimiter)) for line in filled)
        usual = counts.most_common(1)[0][0]
        if usual >= _LEAST_FIELDS:
            return delimiter, usual
    raise CandleFileError(
        f"{path}: its first line is {filled[0][:80]!r}; needed are a time and open, high, low, close, "
        "in columns with a comma, a semicolon or a tab between them"
    )


def _fields(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line; a quoted delimiter does not separate, as in "4,386.02"."""
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    try:
        fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # a field longer than any number
        fields = line.split(delimiter)
    return [field.strip().strip('"') for field in fields]


def _is_header(fields: Sequence[str]) -> bool:
    names = {_plain(field) for field in fields}
    return all(names & set(allowed) for allowed in _PRICES)


def _plain(name: str) -> str:
    """Return a column's name without the decoration of other programs: `<TICKVOL>`, `Open_Time`, `1. open`."""
    text = re.sub(r"^\d+\.\s*", "", name.strip().strip("<>").lower())
    return re.sub(r"[\s_().\[\]]+", " ", text).strip()


def _named(path: Path, names: Sequence[str]) -> Columns:
    places: dict[str, int] = {}
    for number, name in enumerate(names):
        places.setdefault(_plain(str(name)), number)
    times = next((group for group in _TIMES if all(name in places for name in group)), None)
    prices = [next((places[name] for name in allowed if name in places), None) for allowed in _PRICES]
    if times is None or None in prices:
        raise CandleFileError(
            f"{path}: found the columns {', '.join(map(str, names))}; needed are a time (such as timestamp, time, "
            "or date with time) and open, high, low, close"
        )
    known = [number for number in prices if number is not None]
    of_time = tuple(places[name] for name in times)
    volume = _volume(places)
    used = {*of_time, *known, volume}
    left_out = tuple(str(name) for number, name in enumerate(names) if number not in used)
    return Columns(of_time, tuple(known), volume, times[0] in _UTC_NAMES, left_out)


def _volume(places: dict[str, int]) -> int | None:
    exact = next((places[name] for name in _VOLUMES if name in places), None)
    if exact is not None:
        return exact
    return next((number for name, number in places.items() if name.startswith("volume ")), None)  # `Volume BTC`


def _unnamed(path: Path, sample: Sequence[Sequence[str]]) -> Columns:
    """Return the columns of a file without a header: date and time, or one time, then the prices in the usual order."""
    has_time_of_day = bool(re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", sample[0][1]))
    first = 2 if has_time_of_day else 1
    count = len(sample[0])
    if count < first + 4:
        raise CandleFileError(
            f"{path}: has {count} columns and no header; needed are a time and open, high, low, close"
        )
    volume = first + 4 if count > first + 4 else None
    left_out = tuple(f"column {number + 1}" for number in range(first + 5, count))
    return Columns(tuple(range(first)), tuple(range(first, first + 4)), volume, left_out=left_out)


def _numbers(path: Path, sample: Sequence[Sequence[str]], columns: Columns, delimiter: str) -> Numbers:
    """Return the number format of the prices; reject an ambiguous one."""
    texts = [fields[number] for fields in sample for number in columns.prices]
    for numbers in (_POINT, _COMMA):
        if any(re.fullmatch(grouped(numbers), text) for text in texts if numbers.decimal in text):
            return numbers
    with_comma = [text for text in texts if re.fullmatch(r"-?\d+,\d+", text)]
    has_point = any(re.fullmatch(r"-?\d+\.\d+", text) for text in texts)
    if not with_comma:
        volumes = [] if columns.volume is None else [fields[columns.volume] for fields in sample]
        is_grouped = any(re.fullmatch(grouped(_POINT), text) for text in volumes)
        return _POINT if has_point and is_grouped else Numbers()
    if delimiter != "," or not all(re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", text) for text in with_comma):
        return _COMMA
    if has_point:
        return _POINT
    whole, _, rest = with_comma[0].partition(",")
    raise CandleFileError(
        f"{path}: the price {with_comma[0]!r} may be {whole}{rest} or {whole}.{rest}; write it without a comma"
    )


def grouped(numbers: Numbers) -> str:
    """Return the pattern of a number with a thousands separator, such as 4,386.02."""
    return rf"[+-]?\d{{1,3}}(?:{re.escape(numbers.between)}\d{{3}})+(?:{re.escape(numbers.decimal)}\d*)?"


def _kind(delimiter: str, field_count: int, columns: Columns, *, has_header: bool) -> str:
    between = {"\t": "tabs", ";": "semicolons", ",": "commas"}[delimiter]
    if has_header:
        return f"text with a header and {between}"
    style = "Binance klines" if field_count == 12 else "MetaTrader 4" if len(columns.times) == 2 else "no header"
    return f"text with {between} ({style}: time, open, high, low, close{', volume' if columns.volume else ''})"
