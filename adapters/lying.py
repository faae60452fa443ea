"""Moved to `adapters.venues.fault_injection.venue`; the old path works for one release, with a warning."""

from trading.moved import moved

__getattr__ = moved(__name__, "adapters.venues.fault_injection.venue", renamed={"LyingVenue": "FaultInjectingVenue"})
