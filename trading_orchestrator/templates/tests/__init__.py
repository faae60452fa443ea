"""The tests of the templates, for pytest to collect in the folder that they are copied to."""
