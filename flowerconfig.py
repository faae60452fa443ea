"""Flower's configuration, found by `celery -A tasks flower` in this folder; by default Flower listens everywhere."""

from configs.settings import load_settings

_settings = load_settings()

address = _settings.flower_address
port = _settings.flower_port
if _settings.flower_password is not None:
    basic_auth = [f"{_settings.flower_user}:{_settings.flower_password.get_secret_value()}"]
