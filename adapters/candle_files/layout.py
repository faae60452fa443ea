"""Detect the layout of a text file of candles: encoding, delimiter, header and columns."""

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from adapters.candle_files.columns import Columns, has_prices, named_columns, plain_name, unnamed_columns
from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.numbers import Numbers, is_value, numbers_of
from configs.plugins.candle_files import CandleFileOptions

_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SAMPLE_LINES = 50
_LEAST_FIELDS, _MOST_FIELDS = 5, 1_000
_DELIMITERS = {"\t": "tabs", ";": "semicolons", ",": "commas"}
_MOST_NUMBERS_IN_HEADER = 2
_INDEX_NAMES = {"date", "datetime", "timestamp", "time"}

Row = tuple[int, list[str]]
"""Number of a line, counted from 0, and its fields."""


class Layout(Struct, frozen=True):
    """The layout of a text file.

    Attributes:
        skipped_lines: Lines before the first line of data: a preamble and the header.
        field_count: Fields per line.
        has_header: The columns have names.
        chosen: Names of the levels of the header that the user chose a value of.
        kind: Description of the layout, as text.
    """

    encoding: str
    delimiter: str
    numbers: Numbers
    skipped_lines: int
    field_count: int
    columns: Columns
    has_header: bool
    chosen: frozenset[str]
    kind: str


class Header(Struct, frozen=True):
    """Names of the columns, and the line of the first data.

    Attributes:
        chosen: As in `Layout`.
    """

    names: list[str]
    first: int
    chosen: frozenset[str] = frozenset()


def layout_of(path: Path, options: CandleFileOptions, length: int | None = None) -> Layout:
    """Detect the layout of a text file from its first lines.

    Args:
        length: Number of bytes to read from the begin of the file; None for all.

    Raises:
        CandleFileError: It is not a text with at least a time and four prices in distinguishable columns.
    """
    encoding = _encoding(path)
    try:
        with _opened(path, encoding, length) as file:
            lines = [line.rstrip("\r\n") for line in islice(file, _SAMPLE_LINES)]
    except (UnicodeError, OSError, EOFError, zlib.error) as error:
        raise CandleFileError(f"{path}: cannot be read as text: {error}; save it as UTF-8") from error
    delimiter, field_count = _delimiter(path, lines)
    rows = [(number, _fields(line, delimiter)) for number, line in enumerate(lines)]
    header = _header(str(path), rows, field_count, options)
    first = header.first if header else _first_of_unnamed(rows, field_count)
    sample = [fields for number, fields in rows if number >= first and len(fields) == field_count]
    columns = _columns(str(path), header, sample, field_count, options)
    return Layout(
        encoding,
        delimiter,
        _numbers(str(path), sample, columns, delimiter, options.decimal),
        first,
        field_count,
        columns,
        header is not None,
        header.chosen if header else frozenset(),
        _kind(delimiter, field_count, columns, has_header=header is not None),
    )


def first_part(path: Path, length: int) -> BytesIO:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return BytesIO(file.read(length))


def is_compressed(path: Path) -> bool:
    """Return whether the content of the file is gzipped, independent of its name."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def first_bytes(path: Path, count: int = 16) -> bytes:
    """Return the begin of the content of a file, uncompressed.

    Raises:
        CandleFileError: It cannot be read.
    """
    try:
        with gzip.open(path) if is_compressed(path) else path.open("rb") as file:
            return file.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise CandleFileError(f"{path}: cannot be read: {error}; download or copy it again") from error


def line_of(path: Path, number: int) -> str:
    """Return a line of a text file, counted from 1; empty where there is none."""
    try:
        with _opened(path, _encoding(path)) as file:
            return next(islice(file, number - 1, None), "").strip()
    except (UnicodeError, OSError, EOFError, zlib.error):  # the file has changed since it was read
        return ""


def _columns(
    where: str, header: Header | None, sample: Sequence[Sequence[str]], field_count: int, options: CandleFileOptions
) -> Columns:
    named: Mapping[str, str] = {str(role): name for role, name in options.column.items()}
    if header:
        return named_columns(where, header.names, named)
    has_time_of_day = bool(sample) and bool(re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", sample[0][1]))
    return unnamed_columns(where, field_count, named, has_time_of_day=has_time_of_day)


def _opened(path: Path, encoding: str, length: int | None = None) -> TextIO:
    if length is not None:
        return TextIOWrapper(first_part(path, length), encoding=encoding, newline="")
    if is_compressed(path):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _encoding(path: Path) -> str:
    begin = first_bytes(path, 4)
    if begin.startswith(_ZIP):
        raise CandleFileError(f"{path}: is a zip archive or an Excel workbook; unpack it, or save it as CSV")
    return next((name for mark, name in _MARKS if begin.startswith(mark)), "utf-8")


def _delimiter(path: Path, lines: Sequence[str]) -> tuple[str, int]:
    """Return the delimiter and the number of fields of most lines."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise CandleFileError(f"{path}: is empty")
    for delimiter in _DELIMITERS:
        counts = Counter(len(_fields(line, delimiter)) for line in filled)
        usual = counts.most_common(1)[0][0]
        if usual > _MOST_FIELDS:
            raise CandleFileError(f"{path}: its lines have {usual:,} columns; allowed are at most {_MOST_FIELDS:,}")
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


def _header(where: str, rows: Sequence[Row], field_count: int, options: CandleFileOptions) -> Header | None:
    """Return the header: a line without a number before the first line with one; None without such a line."""
    begin = next((place for place, (_, fields) in enumerate(rows) if _is_data(fields)), len(rows))
    ends_empty = all(len(fields) != field_count or not fields[-1] for _, fields in rows[begin:]) and begin < len(rows)
    before = [row for row in rows[:begin] if any(row[1])]
    if levels := _levels(before, field_count):
        return _of_levels(where, levels, options)
    fitting = [row for row in before if _fits(row[1], field_count, ends_empty=ends_empty)]
    if not fitting:
        near = [row for row in before if len(row[1]) >= _LEAST_FIELDS]
        if near:
            number, names = near[-1]
            raise CandleFileError(
                f"{where}: line {number + 1} names {len(names)} columns ({', '.join(names)}), but the rows have "
                f"{field_count}; write a header with a name for each column"
            )
        return None
    number, fields = next((row for row in fitting if has_prices(row[1])), fitting[-1])
    names = [*fields, ""][:field_count]
    return Header(names, number + 1)


def _is_data(fields: Sequence[str]) -> bool:
    """Return whether a line holds numbers; one or two may be names of columns, such as the length of an average."""
    return sum(map(is_value, fields)) > _MOST_NUMBERS_IN_HEADER


def _fits(fields: Sequence[str], field_count: int, *, ends_empty: bool) -> bool:
    """Return whether a header has a name for each column; a delimiter at the end of each line makes one more."""
    if len(fields) == field_count:
        return True
    return (len(fields) == field_count - 1 and ends_empty) or (len(fields) == field_count + 1 and not fields[-1])


def _levels(before: Sequence[Row], field_count: int) -> list[Row]:
    """Return the lines of a header in levels, as yfinance writes it: the last one names the index alone."""
    for place, (_, fields) in enumerate(before):
        if place and fields[0].lower() in _INDEX_NAMES and not any(fields[1:]) and len(fields) == field_count:
            return [row for row in before[: place + 1] if len(row[1]) == field_count]
    return []


def _of_levels(where: str, levels: Sequence[Row], options: CandleFileOptions) -> Header:
    """Return the header of one of several securities in columns side by side."""
    *upper, (last, index) = levels
    prices = next((fields for _, fields in upper if has_prices(fields)), None)
    if prices is None:
        raise CandleFileError(
            f"{where}: no line of its header names open, high, low and close; write one line of names"
        )
    others = [fields for _, fields in upper if fields is not prices]
    names, chosen = [index[0], *prices[1:]], set[str]()
    for fields in others:
        name = fields[0] or "Ticker"
        values = list(dict.fromkeys(value for value in fields[1:] if value))
        picked = next((found for key, found in options.where.items() if plain_name(key) == plain_name(name)), None)
        if picked is None and len(values) > 1:
            raise CandleFileError(
                f"{where}: holds several values of {name}: {', '.join(values[:10])}; choose one: "
                f"--where {name}={values[0]}"
            )
        if picked is None:
            continue
        if len(picked) > 1 or picked[0] not in values:
            raise CandleFileError(f"{where}: --where {name}={','.join(picked)}: allowed is one of {', '.join(values)}")
        chosen.add(plain_name(name))
        names = [names[0]] + [
            one if value == picked[0] else f"{value} {one}" for one, value in zip(names[1:], fields[1:], strict=True)
        ]
    return Header(names, last + 1, frozenset(chosen))


def _first_of_unnamed(rows: Sequence[Row], field_count: int) -> int:
    """Return the first line of data of a file without a header; pandas numbers columns that have no name."""
    number, fields = next(((number, fields) for number, fields in rows if len(fields) == field_count), rows[0])
    numbered = [str(place) for place in range(field_count)]
    return number + 1 if fields in (numbered, ["", *numbered[:-1]]) else number


def _numbers(
    where: str, sample: Sequence[Sequence[str]], columns: Columns, delimiter: str, decimal: str | None
) -> Numbers:
    prices = [fields[number] for fields in sample for number in columns.prices]
    volumes = [] if columns.volume is None else [fields[columns.volume] for fields in sample]
    return numbers_of(where, prices, volumes, delimiter=delimiter, decimal=decimal)


def _kind(delimiter: str, field_count: int, columns: Columns, *, has_header: bool) -> str:
    between = _DELIMITERS[delimiter]
    if has_header:
        return f"text with a header and {between}"
    style = "Binance klines" if field_count == 12 else "MetaTrader 4" if len(columns.times) == 2 else "no header"
    return f"text with {between} ({style}: time, open, high, low, close{', volume' if columns.volume else ''})"
