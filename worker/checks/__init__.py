"""Checks of the machine, the configuration and the services, at start-up and by `doctor`."""
