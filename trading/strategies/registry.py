"""The shipped strategies, by their short name in the settings."""

from collections.abc import Mapping

from trading.moved import moved
from trading.strategies.builtin.cross import EmaCross, MacdCross, SmaCross
from trading.strategies.builtin.donchian_breakout import DonchianBreakout
from trading.strategies.builtin.rsi_reversion import RsiReversion
from trading.strategies.strategy import Strategy

SHIPPED: Mapping[str, type[Strategy]] = {
    "donchian_breakout": DonchianBreakout,
    "ema_cross": EmaCross,
    "macd_cross": MacdCross,
    "rsi_reversion": RsiReversion,
    "sma_cross": SmaCross,
}

__getattr__ = moved(
    __name__,
    dict.fromkeys(("load_strategy", "strategy_class"), "configs.plugins.strategies"),
)
