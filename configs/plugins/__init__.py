"""The settings of venues, sources and strategies that are found by their names, those of other packages included."""
