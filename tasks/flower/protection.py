"""Protection of Flower 2.2: it listens beyond this machine only with a login, and every page asks for the login.

Celery imports this module by `imports` in `celeryconfig.py`, which Flower does before it listens. So it holds for each
way to start Flower, with `flowerconfig.py` and without. Flower itself answers `/metrics` without a login, compares
passwords as often as a client likes, and lets other pages show it in a frame. A part of Flower that is not where it
is expected ends Flower with an error: it never runs unprotected.
"""

import base64
import binascii
import hmac
import logging
import math
import os
import sys
from collections.abc import Sequence
from functools import wraps
from typing import Any

from configs.settings import Settings, load_settings
from tasks.flower.exposure import Exposure
from tasks.flower.login_limit import LoginLimit

logger = logging.getLogger(__name__)

HEADERS = {"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'"}
TOO_MANY_REQUESTS, UNAUTHORIZED = 429, 401
DEFAULT_PORT = 5555
"""Flower's port when nothing sets one."""
_USER_CHARACTERS = 40
_FALSE = ("", "0", "false", "no", "n", "f", "off")


def protect() -> None:
    """Change the classes of Flower; to be called before it listens."""
    from flower.app import Flower  # noqa: PLC0415  # only Flower's own process loads it
    from flower.views import BaseHandler  # noqa: PLC0415  # the same
    from flower.views.monitor import Metrics  # noqa: PLC0415  # the same
    from tornado import web  # noqa: PLC0415  # the same

    Flower.start_http_server = _checked_start(Flower.start_http_server)
    Metrics.get = web.authenticated(Metrics.get)
    BaseHandler.get_current_user = _limited_login(BaseHandler.get_current_user, web.HTTPError, LoginLimit())
    BaseHandler.set_default_headers = _with_headers(BaseHandler.set_default_headers)


def complete(options: Any, settings: Settings) -> None:
    """Set address, port and login from the settings where neither command line nor environment sets them."""
    if not options.address:
        options.address = settings.flower_address
    if options.port == DEFAULT_PORT:
        options.port = settings.flower_port
    if not options.basic_auth and settings.flower_password is not None:
        options.basic_auth = [f"{settings.flower_user}:{settings.flower_password.get_secret_value()}"]


def is_login(header: str, logins: Sequence[str]) -> bool:
    """Return whether an Authorization header holds one of the logins `user:password`."""
    given = _credentials(header)
    return sum(hmac.compare_digest(given, login.encode()) for login in logins) > 0  # each is compared: equal time


def _checked_start(start: Any) -> Any:
    @wraps(start)
    def start_http_server(flower: Any) -> Any:
        options = flower.options
        complete(options, load_settings())
        found = Exposure(
            options.address,
            options.unix_socket,
            tuple(options.basic_auth or ()),
            bool(options.auth),
            os.environ.get("FLOWER_UNAUTHENTICATED_API", "").lower() not in _FALSE,
        )
        if found.fault:
            raise SystemExit(f"error: {found.fault}")
        return start(flower)

    return start_http_server


def _limited_login(check: Any, http_error: Any, limit: LoginLimit) -> Any:
    @wraps(check)
    def get_current_user(handler: Any) -> Any:
        options = handler.application.options
        if not options.basic_auth:
            return check(handler)
        header = handler.request.headers.get("Authorization")
        if header is None:
            raise http_error(UNAUTHORIZED)  # a browser asks its user only after this answer
        address = handler.request.remote_ip
        if wait_s := limit.wait_s(address):
            raise http_error(TOO_MANY_REQUESTS, f"too many failed logins; try again in {math.ceil(wait_s)} s")
        if not is_login(header, options.basic_auth):
            user = _credentials(header).partition(b":")[0].decode(errors="replace")[:_USER_CHARACTERS]
            logger.warning("flower_login_failed address=%s user=%r failures=%s", address, user, limit.failed(address))
            raise http_error(UNAUTHORIZED)
        limit.succeeded(address)
        return check(handler) if options.auth else True

    return get_current_user


def _with_headers(set_defaults: Any) -> Any:
    @wraps(set_defaults)
    def set_default_headers(handler: Any) -> None:
        set_defaults(handler)
        for name, value in HEADERS.items():
            handler.set_header(name, value)

    return set_default_headers


def _credentials(header: str) -> bytes:
    """Return the decoded `user:password` of a Basic header; empty for any other header, which is no login."""
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


if "flower.app" in sys.modules:
    protect()
