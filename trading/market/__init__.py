"""Candles, sessions, calendars, gaps, resampling, and feed health."""
