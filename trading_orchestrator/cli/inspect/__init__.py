"""Commands that show state: status, books, decisions, events."""
