"""Diagnosis of symbols, the recovery policy, and the orchestrators."""
