"""The shipped strategies."""
