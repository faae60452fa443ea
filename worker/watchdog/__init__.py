"""Watchdog process that kills a worker whose main process hangs."""
