"""Market regime: classify the last candles by trend strength, direction and volatility."""

from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from trading.indicators.computation import compute, reach
from trading.indicators.ratios import trend
from trading.indicators.recursive import trailing
from trading.indicators.standard import adx, atr
from trading.market.candles import CLOSE, HIGH, LOW, Candles


class Regime(StrEnum):
    """The kind of market that the candles show."""

    TRENDING_UP = "trending_up"
    TRENDING_DOWN = "trending_down"
    RANGING = "ranging"
    VOLATILE = "volatile"
    UNKNOWN = "unknown"


_CODES = (Regime.TRENDING_UP, Regime.TRENDING_DOWN, Regime.VOLATILE, Regime.RANGING)


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

    @cached_property
    def reach_count(self) -> int:
        """Candles that decide a regime while the market moves."""
        return max(adx(self.adx_period).reach_count, self.startup_candle_count)


def regimes(candles: Candles, rule: RegimeRule, *, window: int, count: int) -> list[Regime]:
    """Return the regime at each of the last `count` candles, oldest first.

    Args:
        candles: Checked candles, the newest last; at least `count` of them, and as many as `regime_reach` returns.
        window: Number of candles per regime, its own included, in a market that moves.

    Returns:
        `count` regimes; UNKNOWN where the window is incomplete or shorter than the rule needs.
    """
    whole = max(0, min(count, len(candles) - window + 1)) if window >= rule.shortest_window else 0
    known = _known(candles, rule, window, whole) if whole else []
    return [Regime.UNKNOWN] * (count - whole) + known


def regime_reach(candles: Candles, rule: RegimeRule, *, window: int, count: int) -> int:
    """Return how many of the newest candles decide the last `count` regimes; see `trading.indicators.reach`."""
    by_trend = reach(candles, {"adx": adx(rule.adx_period)}, window=window, rows=count)
    ranges, bars = {"atr": atr(rule.atr_period)}, rule.volatility_bars
    return max(by_trend, reach(candles, ranges, window=window - bars + 1, rows=count + bars - 1))


def _known(candles: Candles, rule: RegimeRule, window: int, count: int) -> list[Regime]:
    series = [np.ascontiguousarray(candles.values[:, column]) for column in (HIGH, LOW, CLOSE)]
    strength, direction = trend(series, rule.adx_period, len(candles) - count)
    is_trend = strength > rule.adx_threshold
    code = np.where(is_trend, np.where(direction > 0, 0, 1), np.where(_is_volatile(candles, rule, window, count), 2, 3))
    return [_CODES[one] for one in code.tolist()]


def _is_volatile(candles: Candles, rule: RegimeRule, window: int, count: int) -> NDArray[np.bool_]:
    bars = rule.volatility_bars
    ranges, rows = {"atr": atr(rule.atr_period)}, count + bars - 1
    average = compute(candles, ranges, window=window - bars + 1, rows=rows).values[:, 1]
    return average[bars - 1 :] > rule.volatile_ratio * trailing("MEAN", [average], [bars], bars)[0]
