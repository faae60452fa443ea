"""The rules of trading: pure code without Celery, network or clock."""
