"""Orders from intent to fill: sending, reconciliation, stops, booking, adoption, flattening."""
