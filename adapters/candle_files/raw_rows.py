"""Read every row of a candle file without changes."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters.candle_files.layout import (
    CandleFileError,
    Columns,
    Layout,
    Numbers,
    columns_by_name,
    grouped,
    is_compressed,
    layout_of,
)
from adapters.candle_files.timestamps import Zone, read_stamps
from adapters.sources.file import plain
from trading.market.quality import value_faults

_PARQUET = ".parquet"
PLAIN = Numbers()
_MISPLACED = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class RawCandles:
    """All rows of a file, in its order.

    Attributes:
        open_ms: Shape (n,), int64: open times; `NO_TIME` where none could be read.
        is_readable: Shape (n,): whether the text is a valid time.
        values: Shape (n, 5): open, high, low, close, volume; NaN for a text that is not a number, 0 for no volume.
        lines: Shape (n,): line of the file, counted from 1; the row's number in a Parquet file.
        layout: Layout of the file, as text.
        left_out: Columns that were not read.
        has_volume: The file has a volume column.
    """

    open_ms: NDArray[np.int64]
    is_readable: NDArray[np.bool_]
    values: NDArray[np.float64]
    lines: NDArray[np.int64]
    layout: str
    left_out: tuple[str, ...]
    has_volume: bool

    def __len__(self) -> int:
        return len(self.open_ms)


def read_raw(path: Path, *, zone: Zone | None = None, time_format: str | None = None) -> RawCandles:
    """Read every row of a CSV file (plain or gzipped) or a Parquet file, as another program wrote it.

    Args:
        zone: Time zone of times without an offset.
        time_format: As in `datetime.strptime`; None detects it.

    Raises:
        CandleFileError: The file is missing, or holds no recognisable candles.
    """
    if not path.is_file():
        raise CandleFileError(f"{path}: the file does not exist")
    if path.name.endswith(_PARQUET):
        return _parquet(path, zone, time_format)
    layout = layout_of(path)
    table = _table(path, layout)
    columns = layout.columns
    texts = table[columns.times[0]]
    for number in columns.times[1:]:
        texts = texts.str.cat(table[number], sep=" ")
    if zone is None and columns.is_utc:
        zone = Zone("UTC")
    kind = layout.kind
    if layout.numbers.between:
        kind += f" (numbers as 1{layout.numbers.between}234{layout.numbers.decimal}5)"
    raw = _made(path, table, texts, columns, kind, zone, time_format, layout.skipped_lines + 1, layout.numbers)
    if layout.skipped_lines == 0:
        _check_order_of_columns(path, raw)
    return raw


def _table(path: Path, layout: Layout) -> pd.DataFrame:
    """Return all rows that are not blank; times as texts, prices as numbers if all of them are numbers."""
    beyond = layout.field_count
    try:
        table = pd.read_csv(
            path,
            sep=layout.delimiter,
            decimal=layout.numbers.decimal,
            encoding=layout.encoding,
            compression="gzip" if is_compressed(path) else None,
            header=None,
            names=list(range(beyond + 1)),  # one more, to see lines that are too long by one
            skiprows=layout.skipped_lines,
            skip_blank_lines=False,
            skipinitialspace=True,
            dtype=dict.fromkeys(layout.columns.times, "string"),
            index_col=False,
            on_bad_lines="error",
            low_memory=False,
        )
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise CandleFileError(f"{path}: cannot be read: {plain(error)}") from error
    table = table[~table.isna().all(axis=1)]
    longer = table[table[beyond].notna()]
    if len(longer):
        line = int(longer.index[0]) + layout.skipped_lines + 1
        raise CandleFileError(f"{path}: line {line} has more than the {beyond} fields of the others")
    return table


def _parquet(path: Path, zone: Zone | None, time_format: str | None) -> RawCandles:
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise CandleFileError(f"{path}: Parquet needs pyarrow, which is not installed") from error
    except (ValueError, OSError) as error:
        raise CandleFileError(f"{path}: cannot be read: {error}") from error
    if isinstance(table.index, pd.DatetimeIndex) or table.index.name is not None:
        table = table.reset_index()
    columns = columns_by_name(path, [str(name) for name in table.columns])
    table.columns = pd.RangeIndex(len(table.columns))
    texts = table[columns.times[0]]
    for number in columns.times[1:]:
        texts = texts.astype("string").str.cat(table[number].astype("string"), sep=" ")
    if zone is None and columns.is_utc:
        zone = Zone("UTC")
    return _made(path, table, texts, columns, "Parquet", zone, time_format, 1)


def _made(
    path: Path,
    table: pd.DataFrame,
    texts: "pd.Series[Any]",
    columns: Columns,
    kind: str,
    zone: Zone | None,
    time_format: str | None,
    first_line: int,
    numbers: Numbers = PLAIN,
) -> RawCandles:
    if table.empty:
        raise CandleFileError(f"{path}: no candles in it")
    stamps = read_stamps(texts, zone=zone, time_format=time_format, where=str(path))
    values = [_values(table[number], numbers) for number in columns.prices]
    values.append(np.zeros(len(table)) if columns.volume is None else _values(table[columns.volume], numbers))
    return RawCandles(
        stamps.open_ms,
        stamps.is_readable,
        np.ascontiguousarray(np.column_stack(values)),
        table.index.to_numpy(np.int64) + first_line,
        f"{kind}; times: {stamps.kind}",
        columns.left_out,
        columns.volume is not None,
    )


def _values(column: "pd.Series[Any]", numbers: Numbers) -> NDArray[np.float64]:
    """Return a column as numbers; NaN for other texts."""
    if not pd.api.types.is_numeric_dtype(column) and numbers != PLAIN:
        texts = column.astype("string").str.strip()
        is_grouped = texts.str.fullmatch(grouped(numbers)).fillna(False)
        texts = texts.mask(is_grouped, texts.str.replace(numbers.between, "", regex=False))
        texts = texts.mask(texts.str.contains(numbers.between, regex=False))  # a mark where none can be
        column = texts.str.replace(numbers.decimal, ".", regex=False)
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan))


def _check_order_of_columns(path: Path, raw: RawCandles) -> None:
    """Reject a file without a header whose prices are not in the usual order."""
    if value_faults(raw.values)["crossed"].mean() > _MISPLACED:
        raise CandleFileError(
            f"{path}: has no header, and its prices are not in the order open, high, low, close; add a header line "
            "with the names of the columns"
        )
