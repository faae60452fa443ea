"""An answer of a strategy that is none, and rows that it changed: what its author is told."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.trading.strategies.faulty_strategies import ROWS, Says, fault_of, rows
from trading.strategies import SignalBuilder
from trading.strategies.invocation import signals_of

THIRD = "2026-03-02 00:02 UTC"


def third(count: int) -> Any:
    return np.arange(count) == 2


def entry(**given: Any) -> Callable[[pd.DataFrame], SignalBuilder]:
    return lambda shown: SignalBuilder(len(shown)).buy(third(len(shown)), **{"reason": "in", **given})


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (None, "answered None; allowed: a SignalBuilder(len(rows))"),
        (pd.DataFrame({"buy": range(100)}), "answered a DataFrame; allowed: a SignalBuilder(len(rows))"),
        (SignalBuilder(3), "the answer has 3 rows, expected 6"),
        (
            lambda shown: SignalBuilder(len(shown)).buy(True, reason="in"),  # type: ignore[arg-type]
            "`where` has shape (); expected a boolean for each of the 6 rows",
        ),
        (lambda shown: SignalBuilder(len(shown)).buy((x > 0 for x in [1]), reason="in"), "`where` is a generator"),  # type: ignore[arg-type]
        (entry(reason=float("nan")), "`reason` is nan; expected one text"),
        (entry(size_units="5"), "size_units holds <U1, such as '5'; expected numbers"),
        (entry(size_units=np.array(["5"] * ROWS, object)), "size_units has a value that is not a number: row 0 is '5'"),
        (entry(stop_loss=pd.to_datetime(["2026-03-24"] * ROWS)), "stop_loss holds datetime64[us], such as"),
        (entry(stop_loss=[1.0, 2.0]), "stop_loss has shape (2,); expected one number, or 6, one per row"),
    ],
)
def test_answer_that_is_none_reports_what_was_found_and_what_is_allowed(answer: object, found: str) -> None:
    assert found in fault_of(Says(answer=answer)).fault


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (entry(size_units=-1), "size_units is -1 (in); expected a positive size"),
        (entry(take_profit=np.inf), "take_profit is inf; expected a finite number, or None for none"),
        (entry(size_units=np.inf), "size_units is inf; expected a finite number, or None for none"),
        (
            lambda shown: entry()(shown).sell(third(len(shown)), reason="out"),
            "one row is both a buy and a sell (out; in); expected only one of them",
        ),
    ],
)
def test_answer_that_is_wrong_at_one_row_names_its_candle(answer: object, found: str) -> None:
    fault = fault_of(Says(answer=answer))

    assert fault.place == f"signals at the candle {THIRD}"
    assert found in fault.fault


def test_prices_may_be_objects_with_none_among_them() -> None:
    stops = pd.Series([None, None, Decimal("99.5"), pd.NA, None, None], dtype=object)
    (signal,), _ = signals_of(Says(answer=entry(stop_loss=stops)), rows(), last=ROWS, name="mine")

    assert signal.stop_loss == 99.5


def change_index(shown: pd.DataFrame) -> SignalBuilder:
    shown.index = pd.to_datetime(shown.index, unit="ms")
    return entry()(shown)


def change_close(shown: pd.DataFrame) -> SignalBuilder:
    shown["close"] = np.nan
    return entry()(shown)


def smooth_close(shown: pd.DataFrame) -> SignalBuilder:
    shown["close"] = shown["close"].ewm(span=3).mean()
    return entry()(shown)


@pytest.mark.parametrize(
    ("answer", "part"),
    [(change_index, "the index"), (change_close, "the column close"), (smooth_close, "the column close")],
)
def test_rows_that_were_changed_so_that_the_answer_means_nothing_are_reported(answer: object, part: str) -> None:
    assert (
        fault_of(Says(answer=answer)).fault == f"signals changed {part} of its rows; change a copy instead, rows.copy()"
    )
