"""Event types, the messages between stages, the local bus, the journal entry."""
