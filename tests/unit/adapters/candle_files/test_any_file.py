"""Any file is read as it was written, or rejected: never a traceback, never exchanged columns."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.candle_files import NO_TIME, CandleFileError, read_raw
from adapters.candle_files.play import read_candles
from configs.plugins.candle_files import CandleFileOptions
from tests.fixtures.foreign_candles import CANDLES

ANY_FILE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROLES = ("time", "open", "high", "low", "close", "volume")
KNOWN = {
    "time": ("timestamp", "Open_Time", "<TIME>", "Date", "datetime", "Gmt time"),
    "open": ("open", "OPEN", "1. open", "o", "<Open>"),
    "high": ("high", "High", "2. high", "h", "max"),
    "low": ("low", "LOW", "3. low", "l", "min"),
    "close": ("close", "Close/Last", "4. close", "c", "last"),
    "volume": ("volume", "Vol.", "<TICKVOL>", "v", "Volume BTC"),
}
STRANGE = ("Schluss", "Ouverture", "価格", "Preis 1", "x", "Bid", "Mid", "")
NAMES = st.fixed_dictionaries(
    {role: st.sampled_from(KNOWN[role]) | st.sampled_from((*KNOWN[role], *STRANGE)) for role in ROLES}
)
COUNT = 12


def cell(role: str, row: int, decimal: str, between: str) -> str:
    if role == "time":
        return f"2024-03-05T{row:02}:00:00Z"
    value = CANDLES.values[row, ROLES.index(role) - 1]
    text = f"{value:,.2f}" if between and role != "volume" else f"{value:.2f}"
    if decimal == ",":
        text = text.replace(",", "_").replace(".", ",").replace("_", ".")
    return f'"{text}"' if "," in text else text


@ANY_FILE
@given(
    names=NAMES,
    order=st.permutations((*ROLES, "other", "note")),
    delimiter=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([".", ","]),
    between=st.sampled_from(["", ","]),
    is_newest_first=st.booleans(),
    trail=st.sampled_from(["", "end"]),
)
def test_columns_in_any_order_are_read_as_they_are_named_or_rejected(
    tmp_path: Path,
    names: Mapping[str, str],
    order: tuple[str, ...],
    delimiter: str,
    decimal: str,
    between: str,
    is_newest_first: bool,
    trail: str,
) -> None:
    header = [{"other": "spread", "note": "remark"}.get(role) or names.get(role, "") for role in order]
    rows = [
        [{"other": "5", "note": "ok"}.get(role) or cell(role, row, decimal, between) for role in order]
        for row in range(COUNT)
    ]
    end = delimiter if trail else ""
    path = tmp_path / "any.csv"
    lines = [header, *(rows[::-1] if is_newest_first else rows)]
    path.write_text("\n".join(delimiter.join(line) + end for line in lines) + "\n", encoding="utf-8")
    is_known = all(names[role] in KNOWN[role] for role in ROLES if role != "volume")
    try:
        found = read_candles(path, timeframe="1h")
    except CandleFileError:
        if is_known:
            raise
        return
    assert found.values[:, :4].tolist() == CANDLES.values[:COUNT, :4].tolist()
    volumes = CANDLES.values[:COUNT, 4] if names["volume"] in KNOWN["volume"] else np.zeros(COUNT)
    assert found.values[:, 4].tolist() == volumes.tolist()


@ANY_FILE
@given(names=NAMES, order=st.permutations(ROLES))
def test_columns_that_the_user_names_are_read_whatever_the_header(
    tmp_path: Path, names: Mapping[str, str], order: tuple[str, ...]
) -> None:
    path = tmp_path / "any.csv"
    rows = [[cell(role, row, ".", "") for role in order] for row in range(COUNT)]
    lines = [[names[role] or "nothing" for role in order], *rows]
    path.write_text("\n".join(",".join(line) for line in lines) + "\n", encoding="utf-8")
    named = {role: str(order.index(role) + 1) for role in ROLES}

    found = read_candles(path, timeframe="1h", options=CandleFileOptions(column=named))

    assert found == CANDLES[:COUNT] or found.values.tolist() == CANDLES.values[:COUNT].tolist()


FIELD = st.sampled_from(
    ["", "1", "1.5", "1,5", "-3", "nan", "inf", "1e400", "true", "2024-01-01", "01/02/2024", "1704187800", "open",
     "2024-01-01 00:00:00+02:00", "high", "low", "close", "time", "date", "Volume", '"', "'", "a;b", "\x00", "é",
     "1.25M", "-"]
)  # fmt: skip


@ANY_FILE
@given(
    lines=st.lists(st.lists(FIELD, min_size=0, max_size=9), max_size=12),
    delimiter=st.sampled_from([",", ";", "\t"]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "timezone": st.just("Europe/Berlin"),
            "time_format": st.sampled_from(["%d/%m/%Y", "seconds", "%Q", "%Y-%m-%d %z"]),
            "decimal": st.sampled_from([".", ","]),
            "where": st.just({"open": "1"}),
            "column": st.sampled_from([{"volume": "none"}, {"close": "5", "open": "2"}, {"time": "1", "date": "2"}]),
        },
    ),
)
@example(lines=[["", "", "", "", '"'], ['"', "", "", ""]], delimiter=",", options={})  # a line break in a field
def test_any_fields_are_read_or_rejected_with_a_message(
    tmp_path: Path, lines: list[list[str]], delimiter: str, options: dict[str, object]
) -> None:
    path = tmp_path / "any.csv"
    path.write_text("\n".join(delimiter.join(line) for line in lines), encoding="utf-8")
    try:
        raw = read_raw(path, CandleFileOptions(**options))
    except CandleFileError:
        return
    assert len(raw.open_ms) == len(raw.values) == len(raw.lines)
    assert ((raw.open_ms == NO_TIME) | raw.is_readable).all()


@ANY_FILE
@given(data=st.binary(max_size=400) | st.sampled_from([b"PAR1", b"ARROW1", b"[", b"{}", b"[[1,2],[3]]", b"\x1f\x8b"]))
def test_any_bytes_are_read_or_rejected_with_a_message(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(data)

    with pytest.raises(CandleFileError, match=r"any\.csv"):
        read_raw(path)
