"""Moved to `trading.execution.validated_venue`; the old path works for one release, with a warning."""

from trading.moved import moved

__getattr__ = moved(__name__, "trading.execution.validated_venue")
