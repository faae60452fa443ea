"""The replay held against an engine of others."""
