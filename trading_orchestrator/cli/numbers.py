"""Numbers of the command line."""

import math
from typing import Any

import click

MOST = 2**31 - 1
"""The largest whole number that every store can be asked with."""


class Finite(click.FloatRange):
    """A range of numbers in which `nan` and `inf` are not: click's own lets both through."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not in the range {self._describe_range()}: it is no finite number.", param, ctx)
        return found


class Whole(click.IntRange):
    """A range of whole numbers, from `least` to the largest that a store can be asked with."""

    name = "whole number"

    def __init__(self, least: int) -> None:
        super().__init__(min=least, max=MOST)
