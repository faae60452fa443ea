"""The command line: `celery -A tasks trading ...`."""
