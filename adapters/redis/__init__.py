"""What is kept in Redis besides the symbol store: keys, lease, heartbeats, events, records."""
