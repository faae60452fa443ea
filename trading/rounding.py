"""Rounding to steps of a venue, in decimal arithmetic: 0.3 by 0.1 is 0.3."""

from decimal import Context, Decimal
from functools import lru_cache

_EXACT = Context(prec=700)
"""Enough digits for any two floats, so that no size ends in an arithmetic error."""


@lru_cache(maxsize=1024)
def round_down(units: float, step: float) -> float:
    """Return the largest multiple of `step` that is not above `units`."""
    exact_step = Decimal(str(step))
    return float(_EXACT.multiply(_EXACT.divide_int(Decimal(str(units)), exact_step), exact_step))


def round_up(units: float, step: float) -> float:
    """Return the smallest multiple of `step` that is not below `units`."""
    exact, exact_step = Decimal(str(units)), Decimal(str(step))
    whole = _EXACT.divide_int(exact, exact_step)
    if _EXACT.multiply(whole, exact_step) < exact:
        whole += 1
    return float(_EXACT.multiply(whole, exact_step))


def in_ticks(price: float, tick_size: float, *, upwards: bool) -> float:
    """Round a price to a tick in one direction; a price on a tick stays."""
    return round_up(price, tick_size) if upwards else round_down(price, tick_size)
