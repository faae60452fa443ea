"""Number formats of candle files: decimal sign, thousands separator, exponent, and K, M, B, T of a volume."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from msgspec import Struct
from numpy.typing import NDArray

from adapters.candle_files.errors import CandleFileError

_EXPONENT = r"(?:[eE][+-]?\d+)?"
_NUMBER = re.compile(rf"[+-]?(?:\d+(?:[.,]\d+)*[.,]?|[.,]\d+){_EXPONENT}\s*[%KMBTkmbt]?")
_TIME = re.compile(r"\d{1,4}[-./:]\d{1,2}[-./: T]\d{1,4}.*|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?")
_LONGEST = 60
_MULTIPLES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


class Numbers(Struct, frozen=True):
    """Number format.

    Attributes:
        decimal: Decimal separator.
        between: Thousands separator; empty for none.
    """

    decimal: str = "."
    between: str = ""


PLAIN = Numbers()
_POINT, _COMMA = Numbers(".", ","), Numbers(",", ".")


def is_value(text: str) -> bool:
    """Return whether a text is a number or a time, which no column is named."""
    return len(text) <= _LONGEST and bool(_NUMBER.fullmatch(text) or _TIME.fullmatch(text))


def grouped(numbers: Numbers) -> str:
    """Return the pattern of a number with a thousands separator, such as 4,386.02."""
    return rf"[+-]?\d{{1,3}}(?:{re.escape(numbers.between)}\d{{3}})+(?:{re.escape(numbers.decimal)}\d*)?"


def numbers_of(
    where: str, prices: Sequence[str], volumes: Sequence[str], *, delimiter: str, decimal: str | None
) -> Numbers:
    """Return the number format of some prices; reject an ambiguous one.

    Args:
        where: Name of the file for errors.
        volumes: Volumes of the same rows; may be empty.
        decimal: Decimal sign that the user names; None detects it.
    """
    if decimal is not None:
        return _POINT if decimal == "." else _COMMA
    for numbers in (_POINT, _COMMA):
        if any(re.fullmatch(grouped(numbers), text) for text in prices if numbers.decimal in text):
            return numbers
    with_comma = [text for text in prices if re.fullmatch(rf"[+-]?\d*,\d+{_EXPONENT}", text)]
    has_point = any(re.fullmatch(rf"[+-]?\d+\.\d+{_EXPONENT}", text) for text in prices)
    if not with_comma:
        is_grouped = any(re.fullmatch(grouped(_POINT), text) for text in volumes)
        return _POINT if has_point and is_grouped else PLAIN
    if delimiter != "," or not all(re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text) for text in with_comma):
        return _COMMA
    if has_point:
        return _POINT
    whole, _, rest = with_comma[0].partition(",")
    raise CandleFileError(
        f"{where}: the price {with_comma[0]!r} may be {whole}{rest} or {whole}.{rest}; set the decimal sign with "
        "--decimal . or --decimal ,"
    )


def values_of(column: "pd.Series[Any]", numbers: Numbers) -> NDArray[np.float64]:
    """Return a column as numbers; NaN for other texts."""
    if pd.api.types.is_bool_dtype(column):
        return np.full(len(column), np.nan)
    if not pd.api.types.is_numeric_dtype(column):
        texts = column.astype("string").str.strip()
        column = texts if numbers == PLAIN else _without_group_marks(texts, numbers)
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan))


def volumes_of(column: "pd.Series[Any]", numbers: Numbers) -> NDArray[np.float64]:
    """Return a column of volumes as numbers; `1.25M` is 1,250,000."""
    if pd.api.types.is_numeric_dtype(column):
        return values_of(column, numbers)
    texts = column.astype("string").str.strip()
    letters = texts.str.extract(r"[\d.,]\s*([KMBTkmbt])$", expand=False).str.upper()
    plain = texts.where(letters.isna(), texts.str.slice(stop=-1).str.strip())
    factors = letters.map(_MULTIPLES).astype("Float64").fillna(1.0).to_numpy(np.float64)
    return np.round(values_of(plain, numbers) * factors, 9)


def is_nothing(column: "pd.Series[Any]") -> bool:
    """Return whether each value of a column is missing, or the dash that stands for none."""
    return bool((column.isna() | column.astype("string").str.strip().isin(["-", ""])).all())


def _without_group_marks(texts: "pd.Series[Any]", numbers: Numbers) -> "pd.Series[Any]":
    is_grouped = texts.str.fullmatch(grouped(numbers)).fillna(False)
    texts = texts.mask(is_grouped, texts.str.replace(numbers.between, "", regex=False))
    texts = texts.mask(texts.str.contains(numbers.between, regex=False))  # a mark where none can be
    return texts.str.replace(numbers.decimal, ".", regex=False)
