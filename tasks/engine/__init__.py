"""How the tasks use Celery: stage table, routing, transport, retries, worker context."""
