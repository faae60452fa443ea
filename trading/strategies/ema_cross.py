"""Moved to `trading.strategies.builtin.cross`; the old path works for one release, with a warning."""

from trading.moved import moved

__getattr__ = moved(__name__, "trading.strategies.builtin.cross")
