"""Redis adapters besides the symbol store: keys, lease, heartbeats, events and records."""
