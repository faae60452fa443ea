"""Processes that fight for what an account's limits leave, and an observer that checks what they did."""
