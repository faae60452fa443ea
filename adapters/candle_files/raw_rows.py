"""Read every row of a candle file without changes."""

import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from msgspec import Struct
from numpy.typing import NDArray

from adapters.candle_files.columns import Columns, named_columns, plain_name, unnamed_columns
from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.layout import Layout, first_part, is_compressed, layout_of
from adapters.candle_files.numbers import PLAIN, Numbers, is_nothing, values_of, volumes_of
from adapters.candle_files.selection import check_names, check_one_security, chosen_rows
from adapters.candle_files.tables import kind_of_table, read_table
from adapters.candle_files.timestamps import read_stamps
from configs.plugins.candle_files import CandleFileOptions
from trading.market.candles import CLOSE, HIGH, LOW, VOLUME
from trading.market.quality import value_faults

NO_OPTIONS = CandleFileOptions()
_MISPLACED = 0.1
_NO_NUMBER = [
    *("", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN"),
]
"""Texts in place of a missing number; a security may be named so, as NA is on Nasdaq."""
_LEAST_EPOCH = 1e9  # as seconds this is the year 2001


class RawCandles(Struct, frozen=True, eq=False):
    """All rows of a file, in its order.

    Attributes:
        open_ms: Shape (n,), int64: open times; `NO_TIME` where none could be read.
        is_readable: Shape (n,): whether the text is a valid time.
        values: Shape (n, 5): open, high, low, close, volume; NaN for a text that is not a number, 0 for no volume.
        lines: Shape (n,): line of the file, counted from 1; the row's number in a file without lines.
        layout: Layout of the file, as text.
        left_out: Columns that were not read.
        has_volume: The file has a volume column.
        has_lines: The file is a text of lines.
    """

    open_ms: NDArray[np.int64]
    is_readable: NDArray[np.bool_]
    values: NDArray[np.float64]
    lines: NDArray[np.int64]
    layout: str
    left_out: tuple[str, ...]
    has_volume: bool
    has_lines: bool = True

    def __len__(self) -> int:
        return len(self.open_ms)


class _Table(Struct, frozen=True):
    """The cells of a file: columns by number, and what they hold."""

    path: Path
    cells: pd.DataFrame
    columns: Columns
    kind: str
    first_line: int
    has_header: bool
    has_lines: bool
    numbers: Numbers = PLAIN
    chosen: frozenset[str] = frozenset()


def read_raw(path: Path, options: CandleFileOptions = NO_OPTIONS, *, length: int | None = None) -> RawCandles:
    """Read every row of a candle file as another program wrote it: CSV (plain or gzipped), Parquet, Feather or JSON.

    Args:
        options: What the user says of the file; it comes before each guess.
        length: Number of bytes to read from the begin of a text that is not compressed; None for all.

    Raises:
        CandleFileError: The file is missing, or holds no recognisable candles.
    """
    if not path.is_file():
        raise CandleFileError(f"{path}: the file does not exist")
    kind = kind_of_table(path)
    return _raw(_of_text(path, options, length) if kind is None else _of_table(path, kind, options), options)


def _of_text(path: Path, options: CandleFileOptions, length: int | None) -> _Table:
    layout = layout_of(path, options, length)
    kind = layout.kind
    if layout.numbers.between:
        kind += f" (numbers as 1{layout.numbers.between}234{layout.numbers.decimal}5)"
    return _Table(
        path,
        _cells(path, layout, length),
        layout.columns,
        kind,
        layout.skipped_lines + 1,
        layout.has_header,
        True,
        layout.numbers,
        layout.chosen,
    )


def _of_table(path: Path, kind: str, options: CandleFileOptions) -> _Table:
    cells, has_header = read_table(path, kind)
    names = [str(name) for name in cells.columns]
    named: Mapping[str, str] = {str(role): name for role, name in options.column.items()}
    columns = (
        named_columns(str(path), names, named)
        if has_header
        else unnamed_columns(str(path), len(names), named, has_time_of_day=False)
    )
    cells.columns = pd.RangeIndex(len(names))
    return _Table(path, cells, columns, kind, 1, has_header, False)


def _read_csv(*args: Any, **options: Any) -> pd.DataFrame:
    """Call `pandas.read_csv`, and raise its ParserWarning: it has dropped fields of a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        table: pd.DataFrame = pd.read_csv(*args, **options)
    return table


def _cells(path: Path, layout: Layout, length: int | None) -> pd.DataFrame:
    """Return all rows that are not blank; times as texts, prices as numbers if all of them are numbers."""
    beyond = layout.field_count
    names = list(range(beyond + 1))  # one more, to see lines that are too long by one
    try:
        table = _read_csv(
            path if length is None else first_part(path, length),
            sep=layout.delimiter,
            decimal=layout.numbers.decimal,
            encoding=layout.encoding,
            compression="gzip" if is_compressed(path) else None,
            header=None,
            names=names,
            skiprows=layout.skipped_lines,
            skip_blank_lines=False,
            skipinitialspace=True,
            dtype=dict.fromkeys((*layout.columns.times, *layout.columns.unused), "string"),
            na_values={name: [""] if name in layout.columns.unused else _NO_NUMBER for name in names},
            keep_default_na=False,
            index_col=False,
            on_bad_lines="error",
            low_memory=False,
        )
    except (ValueError, OSError, EOFError, zlib.error, pd.errors.ParserWarning) as error:
        raise CandleFileError(
            f"{path}: cannot be read: {plain(error)}; correct that line, or copy the file again"
        ) from error
    table = table[~table.isna().all(axis=1)]
    longer = table[table[beyond].notna()]
    if len(longer):
        line = int(longer.index[0]) + layout.skipped_lines + 1
        raise CandleFileError(f"{path}: line {line} has more than the {beyond} fields of the others; correct it")
    return table


def plain(error: Exception) -> str:
    """Return the message of a pandas error without its technical prefix."""
    return str(error).strip().removeprefix("Error tokenizing data. C error: ")


def _raw(table: _Table, options: CandleFileOptions) -> RawCandles:
    where, columns = str(table.path), table.columns
    cells = chosen_rows(where, table.cells, columns, options.where, table.chosen)
    if cells.empty:
        raise CandleFileError(f"{where}: no candles in it")
    check_names(where, cells, columns, options.where)
    stamps = read_stamps(
        _time_texts(cells, columns),
        zone=options.zone,
        time_format=options.time_format,
        where=where,
        named_zone=columns.zone,
    )
    volume = None if columns.volume is None or is_nothing(cells[columns.volume]) else cells[columns.volume]
    values = [values_of(cells[number], table.numbers) for number in columns.prices]
    values.append(np.zeros(len(cells)) if volume is None else volumes_of(volume, table.numbers))
    raw = RawCandles(
        stamps.open_ms,
        stamps.is_readable,
        np.ascontiguousarray(np.column_stack(values)),
        cells.index.to_numpy(np.int64) + table.first_line,
        f"{table.kind}; times: {stamps.kind}",
        tuple(
            columns.names[number] for number in columns.unused if columns.names[number] or cells[number].notna().any()
        ),
        volume is not None,
        table.has_lines,
    )
    check_one_security(where, cells, columns, raw.open_ms, options.where)
    _check_time(where, cells, columns, raw)
    if not table.has_header:
        _check_order_of_columns(where, raw)
        _check_volume(where, columns, raw)
    return raw


def _time_texts(cells: pd.DataFrame, columns: Columns) -> "pd.Series[Any]":
    texts = cells[columns.times[0]]
    for number in columns.times[1:]:
        texts = texts.astype("string").str.cat(cells[number].astype("string"), sep=" ")
    return texts


def _check_time(where: str, cells: pd.DataFrame, columns: Columns, raw: RawCandles) -> None:
    """Reject a column without a name that counts the rows: it is no time."""
    name = columns.names[columns.times[0]]
    if len(raw) < 2 or plain_name(name) not in {"", "index", "unnamed: 0", "column 1"}:
        return
    counts = values_of(cells[columns.times[0]], PLAIN)
    if (np.diff(counts) == 1).all() and counts[0] in (0, 1):
        raise CandleFileError(
            f"{where}: its first column counts the rows and is no time; found {', '.join(columns.names)}; name the "
            "column of the time: --column time=NAME"
        )


def _check_order_of_columns(where: str, raw: RawCandles) -> None:
    """Reject a file without a header whose prices are not in the usual order."""
    if value_faults(raw.values)["crossed"].mean() > _MISPLACED:
        raise CandleFileError(
            f"{where}: has no header, and its prices are not in the order open, high, low, close; add a header line "
            "with the names of the columns, or number them: --column open=2 --column high=3 --column low=4 "
            "--column close=5"
        )


def _check_volume(where: str, columns: Columns, raw: RawCandles) -> None:
    """Reject a fifth number without a name that is no volume: another price, a change, or a counter."""
    if columns.volume is None or columns.is_volume_certain:
        return
    volume = raw.values[:, VOLUME]
    if not (reason := _why_no_volume(volume, raw)):
        return
    number = columns.volume + 1
    raise CandleFileError(
        f"{where}: has no header, and column {number} is hardly the volume: {reason}; set --column volume={number}, "
        "another number, or --column volume=none"
    )


def _why_no_volume(volume: NDArray[np.float64], raw: RawCandles) -> str:
    prices = raw.values[:, : CLOSE + 1]
    is_between = (raw.values[:, LOW] <= volume) & (volume <= raw.values[:, HIGH])
    steps = np.diff(volume)
    if not np.isfinite(volume).any():
        return "it holds no numbers"
    if (volume < 0).any() and not (prices < 0).any():
        return "it has numbers below zero"
    if is_between.mean() > 0.5:
        return "most of its numbers lie between low and high"
    if len(steps) and (volume > _LEAST_EPOCH).all() and (steps > 0).all():
        return "its numbers look like times"
    return ""
