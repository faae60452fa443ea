"""Recursions: many windows at once are each window alone, to the last bit, and TA-Lib's values but for rounding."""

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trading.indicators.recursive import trailing

Floats = NDArray[np.float64]

FUNCTIONS: dict[str, tuple[tuple[float, ...], int]] = {
    "ATR": ((7,), 8),
    "BBANDS": ((12, 2.0, 1.5, 0), 12),
    "EMA": ((9,), 9),
    "MACD": ((4, 11, 5), 15),
    "SMA": ((12,), 12),
    "STDDEV": ((12, 2.0), 12),
    "VAR": ((12, 1.0), 12),
}
"""Arguments, and the shortest window."""


def series(name: str, count: int, seed: int, *, is_flat: bool = False) -> list[Floats]:
    noise = np.random.default_rng(seed)
    close = np.round(2_000 + np.cumsum(noise.normal(0, 0 if is_flat else 1, count)), 2)
    if name != "ATR":
        return [close]
    spread = 0.0 if is_flat else 1.0
    return [close + spread * noise.exponential(1, count), close - spread * noise.exponential(1, count), close]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), longer=st.integers(0, 40), count=st.integers(2, 60), is_flat=st.booleans())
def test_many_windows_at_once_are_each_alone_to_the_last_bit(
    name: str, seed: int, longer: int, count: int, is_flat: bool
) -> None:
    arguments, shortest = FUNCTIONS[name]
    window = shortest + longer
    inputs = series(name, count + window - 1, seed, is_flat=is_flat)

    together = trailing(name, inputs, arguments, window)

    for at in range(count):
        alone = trailing(name, [one[at : at + window] for one in inputs], arguments, window)
        assert [one[at].tobytes() for one in together] == [one[0].tobytes() for one in alone]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), longer=st.integers(0, 200))
def test_value_is_what_talib_computes_but_for_rounding(name: str, seed: int, longer: int) -> None:
    arguments, shortest = FUNCTIONS[name]
    window = shortest + longer
    inputs = series(name, window, seed)

    ours = trailing(name, inputs, arguments, window)

    theirs = getattr(talib, name)(*inputs, *arguments)
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    assert [float(one[0]) for one in ours] == pytest.approx([one[-1] for one in theirs], rel=1e-11, abs=1e-9)


def test_blocks_of_windows_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = series("MACD", 200, 1)
    whole = trailing("MACD", inputs, (4, 11, 5), 40)

    monkeypatch.setattr("trading.indicators.recursive._BLOCK", 17)

    in_blocks = trailing("MACD", inputs, (4, 11, 5), 40)
    assert [one.tobytes() for one in in_blocks] == [one.tobytes() for one in whole]


def test_flat_prices_give_flat_averages_without_deviation() -> None:
    flat = series("ATR", 100, 1, is_flat=True)

    assert trailing("EMA", flat[2:], (9,), 60)[0].tolist() == [2_000.0] * 41
    assert trailing("SMA", flat[2:], (9,), 60)[0].tolist() == [2_000.0] * 41
    assert trailing("STDDEV", flat[2:], (9, 2.0), 60)[0].tolist() == [0.0] * 41
    assert [one.tolist() for one in trailing("MACD", flat[2:], (4, 11, 5), 60)] == [[0.0] * 41] * 3
    assert trailing("ATR", flat, (9,), 60)[0].tolist() == [0.0] * 41
