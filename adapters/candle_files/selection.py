"""Choose the rows of one security in a file that holds several."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from adapters.candle_files.columns import Columns, place_of_column, plain_name
from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.local_times import NO_TIME, Times

_IDENTITIES = {
    "symbol", "ticker", "name", "pair", "instrument", "instrument name", "instrument id", "code", "asset", "isin",
    "secid", "secname", "contract", "exchange", "market", "venue", "stock", "security", "series", "product id", "sym",
    "per", "period", "interval", "timeframe", "tf", "resolution", "frequency",
}  # fmt: skip
"""Names of columns that tell rows apart: the security, the exchange, or the length of the candles."""
_SHOWN = 10
_REPEATED = 0.2
"""Part of the rows with a time that occurs again, from which another column may tell the rows apart."""


def chosen_rows(
    where: str, table: pd.DataFrame, columns: Columns, conditions: Mapping[str, Sequence[str]], done: frozenset[str]
) -> pd.DataFrame:
    """Return the rows that meet the conditions.

    Args:
        where: Name of the file for errors.
        table: Its columns are numbered.
        done: Plain names whose value was chosen before.

    Raises:
        CandleFileError: There is no such column, or no row with such a value.
    """
    for name, values in conditions.items():
        if plain_name(name) in done:
            continue
        column = _texts(table[place_of_column(where, columns.names, name, "--where")])
        allowed = {value.strip() for value in values}
        is_allowed = column.isin(allowed)
        if not is_allowed.any():
            raise CandleFileError(
                f"{where}: --where {name}={','.join(values)}: no row has this value; found {_listed(column)}"
            )
        table = table[is_allowed.to_numpy(bool)]
    return table


def check_one_security(
    where: str, table: pd.DataFrame, columns: Columns, open_ms: Times, conditions: Mapping[str, Sequence[str]]
) -> None:
    """Reject rows of several securities: their candles would be mixed.

    Raises:
        CandleFileError: A column that is not read tells rows apart, and the user chose none of its values.
    """
    repeated = pd.Series(open_ms).duplicated(keep=False).to_numpy() & (open_ms != NO_TIME)
    for place in _unchosen(columns, conditions):
        values = _texts(table[place])
        count = values.nunique()
        if count > 1 and _distinguishes_rows(values, count, open_ms, repeated):
            raise _several(where, columns.names[place], values)


def check_names(where: str, table: pd.DataFrame, columns: Columns, conditions: Mapping[str, Sequence[str]]) -> None:
    """Reject several values in a column whose name says that it tells rows apart, such as Symbol.

    Raises:
        CandleFileError: The user chose none of its values.
    """
    for place in _unchosen(columns, conditions):
        if plain_name(columns.names[place]) in _IDENTITIES:
            values = _texts(table[place])
            if values.nunique() > 1:
                raise _several(where, columns.names[place], values)


def _unchosen(columns: Columns, conditions: Mapping[str, Sequence[str]]) -> list[int]:
    """Return the columns that are not read, and of which the user chose no value."""
    chosen = {plain_name(name) for name in conditions}
    return [
        place
        for place in columns.unused
        if plain_name(columns.names[place]) not in chosen and str(place + 1) not in chosen
    ]


def _several(where: str, name: str, values: "pd.Series[Any]") -> CandleFileError:
    first = f"{name}={values.dropna().iloc[0]}"
    shown = f"'{first}'" if " " in first else first
    return CandleFileError(
        f"{where}: its column {name} tells rows apart: {_listed(values)}; choose one: --where {shown}, or several by "
        "repeating it"
    )


def _distinguishes_rows(values: "pd.Series[Any]", count: int, open_ms: Times, repeated: np.ndarray[Any, Any]) -> bool:
    if repeated.mean() <= _REPEATED or count > len(values) // 2:
        return False
    pairs = pd.DataFrame({"at": open_ms, "value": values.to_numpy()})
    return not bool(pairs[repeated].duplicated().any())


def _texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column.astype("string").str.strip()


def _listed(column: "pd.Series[Any]") -> str:
    values = column.dropna().unique().tolist()
    more = f" and {len(values) - _SHOWN:,} more" if len(values) > _SHOWN else ""
    return ", ".join(values[:_SHOWN]) + more
