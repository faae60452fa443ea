"""Market regime: classify the last candles by trend strength, direction and volatility."""

from enum import StrEnum
from functools import cached_property

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trading.indicators.indicator import Floats, adx, atr, raw_function
from trading.market.candles import CLOSE, HIGH, LOW, Candles
from trading.tolerance import TOLERANCE


class Regime(StrEnum):
    """The kind of market that the candles show."""

    TRENDING_UP = "trending_up"
    TRENDING_DOWN = "trending_down"
    RANGING = "ranging"
    VOLATILE = "volatile"
    UNKNOWN = "unknown"


_ADX, _ATR = raw_function("ADX"), raw_function("ATR")
_PLUS_DI, _MINUS_DI = raw_function("PLUS_DI"), raw_function("MINUS_DI")
_PLUS_DM, _MINUS_DM = raw_function("PLUS_DM"), raw_function("MINUS_DM")
_TRANGE, _SMA, _MIN = raw_function("TRANGE"), raw_function("SMA"), raw_function("MIN")

_CODES = (Regime.TRENDING_UP, Regime.TRENDING_DOWN, Regime.VOLATILE, Regime.RANGING, None)
_FEW = 8
"""Up to this number of candles, a pass over all of them does not pay."""

_SAFETY = 10.0
"""Factor by which the error bounds below are widened."""


class RegimeRule(BaseModel):
    """Thresholds at which a market counts as trending or volatile.

    Trend takes precedence over volatility: a strong trend with wide bars is a trend.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    adx_period: int = Field(default=14, ge=2, le=500, description="Bars of ADX and of the directional indicators.")
    adx_threshold: float = Field(default=25.0, gt=0, lt=100, description="ADX above which the market trends, 0..100.")
    atr_period: int = Field(default=14, ge=2, le=500, description="Bars of the average true range.")
    volatility_bars: int = Field(default=100, ge=2, le=5000, description="Bars of the ATR's longer average.")
    volatile_ratio: float = Field(
        default=1.5, gt=1, le=100, description="ATR over its longer average, above which the market is volatile."
    )

    @cached_property
    def startup_candle_count(self) -> int:
        """Candles per regime, its own included, so that the indicators have settled."""
        return max(adx(self.adx_period).settle_count, atr(self.atr_period).settle_count + self.volatility_bars - 1)

    @cached_property
    def shortest_window(self) -> int:
        """Minimum number of candles; with fewer there is no regime."""
        return max(adx(self.adx_period).lookback_count + 1, atr(self.atr_period).lookback_count + self.volatility_bars)


def regimes(candles: Candles, rule: RegimeRule, *, window: int, count: int) -> list[Regime]:
    """Return the regime at each of the last `count` candles, oldest first.

    Args:
        candles: Checked candles, the newest last; at least `count` of them.
        window: Number of candles per regime, its own included.

    Returns:
        `count` regimes; UNKNOWN where the window is incomplete or shorter than the rule needs.
    """
    whole = max(0, min(count, len(candles) - window + 1)) if window >= rule.shortest_window else 0
    values = candles.values[len(candles) - whole - window + 1 :] if whole else candles.values[:0]
    high, low, close = (np.ascontiguousarray(values[:, column]) for column in (HIGH, LOW, CLOSE))
    found = _certain(high, low, close, rule, window) if whole > _FEW else [None] * whole
    known = [
        _regime(high[at : at + window], low[at : at + window], close[at : at + window], rule) if sure is None else sure
        for at, sure in enumerate(found)
    ]
    return [Regime.UNKNOWN] * (count - whole) + known


def _certain(high: Floats, low: Floats, close: Floats, rule: RegimeRule, window: int) -> list[Regime | None]:
    """Return the regime at each candle with a complete window, where one pass over all candles determines it for sure.

    Over more candles than the window, the averages differ from those over the window by the remaining weight of their
    seed: each step of Wilder's average keeps `1 - 1 / period` of it, and the seed is at most the largest true range so
    far. Where that difference may change a comparison, the result is None.
    """
    period, bars = rule.adx_period, rule.volatility_bars
    average = _ATR(high, low, close, rule.atr_period)
    largest = np.maximum.accumulate(np.concatenate(([high[0] - low[0]], _TRANGE(high, low, close)[1:])))[window - 1 :]
    moved = (_PLUS_DM(high, low, period) + _MINUS_DM(high, low, period))[period:]
    least = _MIN(moved, window - period)[window - period - 1 :]
    left = (1 - 1 / period) ** (window - 2 * period - 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # in a market without movement nothing is certain
        margin = _SAFETY * 100 * (left * (1 + window * largest / least) + TOLERANCE)
    strength = _ADX(high, low, close, period)[window - 1 :] - rule.adx_threshold
    direction = (_PLUS_DI(high, low, close, period) - _MINUS_DI(high, low, close, period))[window - 1 :]
    mean_of_average = _SMA(average[rule.atr_period :], bars)[window - 1 - rule.atr_period :]
    swing = average[window - 1 :] - rule.volatile_ratio * mean_of_average
    left = (1 - 1 / rule.atr_period) ** (window - bars - rule.atr_period - 1)
    swing_margin = _SAFETY * rule.volatile_ratio * (left + TOLERANCE) * largest
    is_trend = strength > 0
    code = np.where(is_trend, np.where(direction > 0, 0, 1), np.where(swing > 0, 2, 3))
    is_sure = np.abs(strength) > margin
    is_sure &= np.where(is_trend, np.abs(direction) > margin, np.abs(swing) > swing_margin)
    code[~is_sure] = len(_CODES) - 1
    return [_CODES[one] for one in code.tolist()]


def _regime(
    high: Floats,
    low: Floats,
    close: Floats,
    rule: RegimeRule,
) -> Regime:
    period = rule.adx_period
    if _ADX(high, low, close, period)[-1] > rule.adx_threshold:
        is_up = _PLUS_DI(high, low, close, period)[-1] > _MINUS_DI(high, low, close, period)[-1]
        return Regime.TRENDING_UP if is_up else Regime.TRENDING_DOWN
    ranges = _ATR(high, low, close, rule.atr_period)[-rule.volatility_bars :]
    # Compare sums instead of means, so that a market without any movement is ranging.
    is_volatile = ranges[-1] * rule.volatility_bars > rule.volatile_ratio * ranges.sum()
    return Regime.VOLATILE if is_volatile else Regime.RANGING
