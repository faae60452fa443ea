"""Market regime: what kind of market the last candles show, by trend strength, direction and volatility."""

from functools import cached_property

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trading.candles import CLOSE, HIGH, LOW, Candles
from trading.events import Regime
from trading.indicators import Floats, adx, atr, raw_function

_ADX, _ATR = raw_function("ADX"), raw_function("ATR")
_PLUS_DI, _MINUS_DI = raw_function("PLUS_DI"), raw_function("MINUS_DI")


class RegimeRule(BaseModel):
    """When a market counts as trending or volatile.

    Trend goes before volatility: a strong trend with wide bars is a trend.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    adx_period: int = Field(default=14, ge=2, le=500, description="Bars of ADX and of the directional indicators.")
    adx_threshold: float = Field(default=25.0, gt=0, lt=100, description="ADX above which the market trends, 0..100.")
    atr_period: int = Field(default=14, ge=2, le=500, description="Bars of the average true range.")
    volatility_bars: int = Field(default=100, ge=2, le=5000, description="Bars of the longer average of that range.")
    volatile_ratio: float = Field(
        default=1.5, gt=1, le=100, description="Average true range over its longer average, above which it is volatile."
    )

    @cached_property
    def startup_candle_count(self) -> int:
        """Candles from which a regime is computed, its own included: as many as it takes to settle."""
        return max(adx(self.adx_period).settle_count, atr(self.atr_period).settle_count + self.volatility_bars - 1)

    @cached_property
    def shortest_window(self) -> int:
        """Candles below which there is no regime at all."""
        return max(adx(self.adx_period).lookback_count + 1, atr(self.atr_period).lookback_count + self.volatility_bars)


def regimes(candles: Candles, rule: RegimeRule, *, window: int, count: int) -> list[Regime]:
    """Return the regime at each of the last `count` candles, oldest first.

    Args:
        candles: Checked candles, the newest last; at least `count` of them.
        window: Candles that each regime is computed from, its own included.

    Returns:
        `count` regimes; UNKNOWN where the window is not whole or is shorter than the rule needs.
    """
    whole = max(0, min(count, len(candles) - window + 1)) if window >= rule.shortest_window else 0
    values = candles.values[len(candles) - whole - window + 1 :] if whole else candles.values[:0]
    high, low, close = (np.ascontiguousarray(values[:, column]) for column in (HIGH, LOW, CLOSE))
    known = [
        _regime(high[at : at + window], low[at : at + window], close[at : at + window], rule) for at in range(whole)
    ]
    return [Regime.UNKNOWN] * (count - whole) + known


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
    # A mean without a division, so that a market that does not move at all is ranging.
    is_volatile = ranges[-1] * rule.volatility_bars > rule.volatile_ratio * ranges.sum()
    return Regime.VOLATILE if is_volatile else Regime.RANGING
