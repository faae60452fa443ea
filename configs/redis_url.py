"""Redis URLs: one reading for redis-py and kombu, which differ in Unix sockets, passwords in the query and TLS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

SCHEMES = ("redis://", "rediss://", "unix://")
DEFAULT_PORT = 6379
CREDENTIALS = "adapters.redis.credentials:SettingsCredentials"
"""Class from which a broker takes the password of a Unix socket; in its URL kombu would show the password."""

_TLS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CERTIFICATE = ("required", "optional", "none")
_MASK = "***"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis server listens, and the login there.

    Attributes:
        path: Path of the Unix socket; empty for a host.
        tls: Options of TLS, by the names of redis-py; empty without TLS.
    """

    scheme: str
    host: str
    port: int
    path: str
    database: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Host and port, or the path of the socket."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def client_url(self) -> str:
        """The URL for redis-py."""
        return self._url(quote(self.password, safe=""))

    @property
    def masked(self) -> str:
        """The URL to show."""
        return self._url(_MASK)

    @property
    def broker_url(self) -> str:
        """The URL for kombu and for Celery's result backend."""
        if not self.path:
            return self.client_url
        query = {"virtual_host": str(self.database)}
        if self.password:
            query["credential_provider"] = CREDENTIALS
        return f"redis+socket://{quote(self.path)}?{urlencode(query, safe=':')}"

    def _url(self, password: str) -> str:
        login = f"{quote(self.user, safe='')}{f':{password}' if self.password else ''}"
        at = "@" if login else ""
        if self.path:
            return f"unix://{login}{at}{quote(self.path)}?db={self.database}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?{urlencode(self.tls, safe='/')}" if self.tls else ""
        return f"{self.scheme}://{login}{at}{host}:{self.port}/{self.database}{query}"


def parse_redis_url(url: str) -> RedisAddress:
    """Read a Redis URL: `redis://` or `rediss://user:password@host:port/database`, or `unix:///path?db=database`.

    User, password and database may be in the query too, as `username`, `password` and `db`.

    Raises:
        ValueError: It is another URL; the message states the expected form and no part of the URL.
    """
    if not url.startswith(SCHEMES):
        raise ValueError(f"a URL that begins with {', '.join(SCHEMES)}")
    try:
        parts = urlsplit(url)
    except ValueError:  # its text holds a part of the URL, which may be the password
        raise ValueError("a URL of a host; special characters of the login as %XX, an IPv6 address in []") from None
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError("a URL whose port is a number up to 65535") from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    is_socket, is_tls = parts.scheme == "unix", parts.scheme == "rediss"
    if is_socket and (parts.hostname or parts.path in ("", "/")):
        raise ValueError("a path after three slashes or after the login: unix:///path or unix://user:password@/path")
    allowed = {"username", "password", "db", *(_TLS if is_tls else ())}
    if not query.keys() <= allowed:
        raise ValueError(f"a {parts.scheme}:// URL whose options are among {', '.join(sorted(allowed))}")
    return RedisAddress(
        parts.scheme,
        "" if is_socket else parts.hostname or "localhost",
        port,
        unquote(parts.path) if is_socket else "",
        _database(query.get("db") or ("" if is_socket else parts.path.strip("/"))),
        query.get("username") or unquote(parts.username or ""),
        query.get("password") or unquote(parts.password or ""),
        _tls(query) if is_tls else {},
    )


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("a URL whose database is a number, such as redis://host:6379/0 or unix:///path?db=0")
    return int(text)


def _tls(query: Mapping[str, str]) -> dict[str, str]:
    found = {"ssl_cert_reqs": "required"} | {name: query[name] for name in _TLS if name in query}
    found["ssl_cert_reqs"] = found["ssl_cert_reqs"].lower().removeprefix("cert_")
    if found["ssl_cert_reqs"] not in _CERTIFICATE:
        raise ValueError(f"a URL whose ssl_cert_reqs is one of {', '.join(_CERTIFICATE)}")
    return found
