"""Celery beat: the schedule and the sending of ticks and periodic tasks."""
