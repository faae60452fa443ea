"""How many candles back the values of the newest one reach."""

from collections.abc import Callable, Sized
from typing import TypeVar

History = TypeVar("History", bound=Sized)


def reaching_back(read: Callable[[int], History], count: int, reach: Callable[[History], int]) -> History:
    """Read the newest candles: `count`, and more while older ones decide values, as where a market stands still.

    Args:
        read: Returns the newest candles, at most as many as it is given.
        reach: Returns how many of the newest candles decide the values; more than there are where older ones count.
    """
    found = read(count)
    while len(found) == count and (needed := reach(found)) > count:
        count = max(needed, 2 * count)
        found = read(count)
    return found
