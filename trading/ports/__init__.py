"""Interfaces to the outside world; `adapters/` implements each."""
