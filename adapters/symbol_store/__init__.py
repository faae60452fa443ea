"""Cursor, candle window and journal of a symbol, in Redis or in memory."""
