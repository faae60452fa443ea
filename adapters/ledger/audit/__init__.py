"""Verification of a ledger: its invariants, and its books computed again."""
