"""Follow the trend where a fast exponential average crosses a slow one."""

from trading.indicators import Indicator, ema
from trading.strategies.builtin.cross import AverageCross


class EmaCross(AverageCross):
    """Buy when the fast EMA crosses above the slow one, sell when it crosses below."""

    def average(self, period: int) -> Indicator:
        return ema(period)
