"""Moved to `configs.loading`; the old path works for one release, with a warning."""

from trading.moved import moved

__getattr__ = moved(__name__, "configs.loading")
