"""Backup and restore of the ledger."""
