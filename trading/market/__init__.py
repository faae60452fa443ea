"""Candles, sessions, calendars, gaps, resampling, and the health of a feed."""
