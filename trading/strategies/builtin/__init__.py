"""The strategies that are shipped."""
