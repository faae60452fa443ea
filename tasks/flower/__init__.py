"""Protection of Flower, the web page of the Celery app: login, limits and headers."""
