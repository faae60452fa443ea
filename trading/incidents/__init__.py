"""Kinds of incidents, and their descriptions."""
