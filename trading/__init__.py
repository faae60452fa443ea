"""The trading domain: pure code without Celery, network or clock."""
