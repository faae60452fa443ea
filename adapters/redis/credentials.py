"""Login of a Unix socket for Celery's broker and result backend, read from the settings instead of from a URL."""

import redis

from configs.redis_url import parse_redis_url
from configs.settings import load_settings, resolve_redis_url


class SettingsCredentials(redis.CredentialProvider):
    """Gives user and password of the configured Redis; kombu makes it by the name in the broker's URL."""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        address = parse_redis_url(resolve_redis_url(load_settings()))
        return (address.user, address.password) if address.user else (address.password,)
