"""The settings of venues, sources and strategies, built-in or from other packages, selected by name."""
