"""The indicators of `trading.indicators`, and those of plug-ins by their names.

>>> from trading_orchestrator.indicators import ema
>>> str(ema(20))
'EMA(20)'
"""

from collections.abc import Callable
from typing import Any

from configs.plugins.entry_points import INDICATORS, fault, load, names
from trading import indicators as _own
from trading.indicators import *  # noqa: F403

__all__ = list(_own.__all__)


def __getattr__(name: str) -> Callable[..., Any]:
    """Return the indicator of a plug-in.

    Raises:
        AttributeError: No plug-in has an indicator of this name.
        PluginError: The plug-in cannot be used.
    """
    if name.startswith("__") or name not in names(INDICATORS):
        allowed = ", ".join([*__all__, *names(INDICATORS)])
        raise AttributeError(f"no indicator {name!r}; there are: {allowed}", name=name)
    found: object = load(INDICATORS, name)
    if not callable(found):
        raise fault(INDICATORS, name, f"is {found!r}, expected a function that returns an Indicator")
    return found
