"""Follow the trend where a fast simple average crosses a slow one."""

from trading.indicators import Indicator, sma
from trading.strategies.builtin.cross import AverageCross


class SmaCross(AverageCross):
    """Buy when the fast SMA crosses above the slow one, sell when it crosses below."""

    def average(self, period: int) -> Indicator:
        return sma(period)
