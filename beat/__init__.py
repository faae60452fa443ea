"""When: symbols in, ticks out."""
