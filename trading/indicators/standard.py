"""Indicators in common use, with their usual parameters."""

from typing import Literal

from trading.indicators.indicator import Indicator


def ema(period: int) -> Indicator:
    """Exponential moving average of the close."""
    return Indicator("EMA", (("timeperiod", period),))


def sma(period: int) -> Indicator:
    """Simple moving average of the close."""
    return Indicator("SMA", (("timeperiod", period),))


def rsi(period: int) -> Indicator:
    """Relative strength index of the close, 0..100 (Wilder, 1978)."""
    return Indicator("RSI", (("timeperiod", period),))


def atr(period: int) -> Indicator:
    """Average true range, in quote currency (Wilder, 1978)."""
    return Indicator("ATR", (("timeperiod", period),))


def adx(period: int) -> Indicator:
    """Average directional index, 0..100 (Wilder, 1978)."""
    return Indicator("ADX", (("timeperiod", period),))


def macd(
    fast: int = 12, slow: int = 26, signal: int = 9, *, output: Literal["macd", "signal", "histogram"] = "macd"
) -> Indicator:
    """Moving average convergence/divergence of the close, its signal line, or the histogram between them."""
    name = {"macd": "macd", "signal": "macdsignal", "histogram": "macdhist"}[output]
    return Indicator("MACD", (("fastperiod", fast), ("slowperiod", slow), ("signalperiod", signal)), name)


def bollinger(
    period: int = 20, deviations: float = 2.0, *, output: Literal["upper", "middle", "lower"] = "middle"
) -> Indicator:
    """A Bollinger band of the close, `deviations` standard deviations from its simple moving average."""
    parameters = (("timeperiod", period), ("nbdevup", float(deviations)), ("nbdevdn", float(deviations)))
    return Indicator("BBANDS", parameters, f"{output}band")


def stochastic(fast_k: int = 14, slow_k: int = 3, slow_d: int = 3, *, output: Literal["k", "d"] = "k") -> Indicator:
    """A line of the slow stochastic oscillator, 0..100."""
    parameters = (("fastk_period", fast_k), ("slowk_period", slow_k), ("slowd_period", slow_d))
    return Indicator("STOCH", parameters, f"slow{output}")


def highest(period: int) -> Indicator:
    """Highest high of the last `period` candles, this one included: the upper Donchian channel."""
    return Indicator("MAX", (("timeperiod", period),), price="high")


def lowest(period: int) -> Indicator:
    """Lowest low of the last `period` candles, this one included: the lower Donchian channel."""
    return Indicator("MIN", (("timeperiod", period),), price="low")
