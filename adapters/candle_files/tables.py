"""Read files that hold a table with types: Parquet, Feather and JSON."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.layout import first_bytes, is_compressed

_LAYOUTS = "a list of candles, a list of objects, or what pandas' to_json writes"


def kind_of_table(path: Path) -> str | None:
    """Return `Parquet`, `Feather` or `JSON` by the content of a file; None for a text of columns."""
    begin = first_bytes(path)
    if begin.startswith(b"PAR1"):
        return "Parquet"
    if begin.startswith((b"ARROW1", b"FEA1")):
        return "Feather"
    if begin.startswith(b"\x89HDF"):
        raise CandleFileError(f"{path}: is an HDF5 file; write it as Feather, Parquet or CSV")
    return "JSON" if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{")) else None


def read_table(path: Path, kind: str) -> tuple[pd.DataFrame, bool]:
    """Return a table, and whether its columns have names.

    Raises:
        CandleFileError: The file is damaged, or is no table.
    """
    try:
        if kind == "JSON":
            return _from_json(path)
        table = pd.read_parquet(path) if kind == "Parquet" else pd.read_feather(path)
    except CandleFileError:
        raise
    except ImportError as error:
        raise CandleFileError(f"{path}: {kind} needs pyarrow, which is not installed") from error
    except (ValueError, OSError, RecursionError, OverflowError) as error:
        raise CandleFileError(f"{path}: cannot be read as {kind}: {error}; write it again") from error
    if isinstance(table.index, pd.DatetimeIndex) or table.index.name is not None:
        table = table.reset_index()
    return table, True


def _from_json(path: Path) -> tuple[pd.DataFrame, bool]:
    with (
        gzip.open(path, "rt", encoding="utf-8-sig") if is_compressed(path) else path.open(encoding="utf-8-sig") as file
    ):
        content = json.load(file)
    rows = _rows_in(content)
    if isinstance(rows, list) and rows and all(isinstance(row, list) for row in rows):
        if len(set(map(len, rows))) > 1:
            raise CandleFileError(
                f"{path}: its candles have different numbers of values; allowed is one number for all"
            )
        return pd.DataFrame(rows), False
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        return pd.DataFrame(rows), True
    if isinstance(content, dict) and content and all(isinstance(part, dict) for part in content.values()):
        columns = pd.DataFrame(content)
        return columns.reset_index(names=""), True
    found = f"an object with {', '.join(list(content)[:8])}" if isinstance(content, dict) else "another list"
    raise CandleFileError(f"{path}: holds {found}; allowed is {_LAYOUTS}; or write it as CSV")


def _rows_in(content: Any) -> Any:
    """Return the list of candles in an answer of an exchange, or in what pandas writes with orient split or table."""
    if not isinstance(content, Mapping):
        return content
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        index = content.get("index") or [None] * len(content["data"])
        names = ["", *map(str, content["columns"])]
        return [dict(zip(names, (at, *row), strict=True)) for at, row in zip(index, content["data"], strict=True)]
    parts = [content.get("data"), *(content["result"].values() if isinstance(content.get("result"), dict) else ())]
    return next((part for part in parts if isinstance(part, list)), content)
