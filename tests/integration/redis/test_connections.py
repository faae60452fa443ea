"""A whole system on a Redis that is reached by a Unix socket or by TLS, and outputs without its password."""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fixtures.apps.system import ROOT, TradingSystem, file_symbol
from tests.fixtures.candle_files import generated_candles, write_candles
from tests.fixtures.servers.ports import quiet_port
from tests.fixtures.servers.redis_server import WAIT_S
from trading_orchestrator.launcher import embedded_redis
from trading_orchestrator.launcher.child_process import ChildProcess, ProcessSpec

SYMBOL = "XAUUSD"

pytestmark = pytest.mark.timeout(300)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return key and self-signed certificate for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names)
    subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return key, cert


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy everything from one connection to the other until one of them ends."""
    with suppress(OSError):
        while block := await reader.read(65_536):
            writer.write(block)
            await writer.drain()
    writer.close()


@contextmanager
def tls_in_front_of(port: int, key: Path, cert: Path) -> Iterator[int]:
    """Give the port of a TLS server in front of a local port, for a server program that has no TLS itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(relay(reader, far_writer), relay(far_reader, writer))

    loop = asyncio.new_event_loop()
    listener = loop.run_until_complete(asyncio.start_server(accept, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield int(listener.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(ended(), loop).result(WAIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        listener.close()
        loop.close()


async def ended() -> None:
    """Cancel the connections that are left and wait for their end."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture(params=["unix", pytest.param("rediss", marks=pytest.mark.long)])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A server that is reached by a socket or by TLS: its URL, and its password."""
    folder = Path(tempfile.mkdtemp())  # the path of a socket is short
    path = folder / "r.sock"
    plan = embedded_redis.plan_redis(tmp_path / "redis", port=quiet_port())
    process = ChildProcess(ProcessSpec("redis", (*plan.argv, "--unixsocket", str(path))), tmp_path / "log")
    process.start()
    assert process.pid is not None
    try:
        embedded_redis.wait_until_ready(plan, process.pid, has_ended=lambda: process.ended() is not None)
        if request.param == "unix":
            yield SimpleNamespace(url=f"unix://{path}?password={plan.password}&db=1", password=plan.password)
        else:
            key, cert = certificate(tmp_path)
            with tls_in_front_of(plan.port, key, cert) as port:
                url = f"rediss://:{plan.password}@127.0.0.1:{port}/1?ssl_ca_certs={cert}"
                yield SimpleNamespace(url=url, password=plan.password)
    finally:
        process.terminate(WAIT_S)
        shutil.rmtree(folder)


def test_system_on_a_socket_or_with_tls_trades_answers_control_and_shows_no_password(
    server: Any, tmp_path: Path
) -> None:
    gold = write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, 60, seed=3))
    system = TradingSystem(tmp_path / "system", server, {SYMBOL: file_symbol(gold)})
    outputs: list[str] = []

    def command(*arguments: str) -> str:
        argv = [sys.executable, "-m", "celery", "-A", "tasks", *arguments]
        ended = subprocess.run(
            argv, cwd=ROOT, env=system_environment(system), capture_output=True, text=True, check=False, timeout=120
        )
        outputs.append(ended.stdout + ended.stderr)
        assert ended.returncode == 0, outputs[-1]
        return ended.stdout

    try:
        system.celery("up", "-A", "tasks", "trading", "up", "--no-flower", "--no-table")
        system.wait_until(lambda: bool(system.journal(SYMBOL)), "decision")
        assert '"now": "paused"' in command("trading", "pause", SYMBOL, "--json")
        assert '"type"' in command("trading", "events", "--json")
        for arguments in (["status"], ["doctor"], ["config", "show"]):
            command("trading", *arguments)
        command("inspect", "stats")
        command("inspect", "conf")
        command("report")
    finally:
        system.stop()
    logs = [path.read_text(encoding="utf-8", errors="replace") for path in tmp_path.rglob("*.log")]

    assert len(logs) > 3
    assert [text for text in [*outputs, *logs] if server.password in text] == []


def system_environment(system: TradingSystem) -> dict[str, str]:
    return {**os.environ, **system.environment}


def test_doctor_and_status_without_the_server_show_no_password_of_a_socket(tmp_path: Path) -> None:
    server: Any = SimpleNamespace(url=f"unix://{tmp_path}/none.sock?password=geheim")
    gold = write_candles(tmp_path / "gold.csv", generated_candles(SYMBOL, 60, seed=3))
    system = TradingSystem(tmp_path / "system", server, {SYMBOL: file_symbol(gold)})

    for arguments in (["doctor"], ["status"]):
        argv = [sys.executable, "-m", "celery", "-A", "tasks", "trading", *arguments]
        ended = subprocess.run(
            argv, cwd=ROOT, env=system_environment(system), capture_output=True, text=True, check=False, timeout=120
        )
        assert ended.returncode in (1, 3)
        assert "none.sock" in ended.stdout + ended.stderr
        assert "geheim" not in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
