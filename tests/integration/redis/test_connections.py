"""A whole system on a Redis that is reached by a Unix socket or by TLS, and outputs without its password."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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


@pytest.fixture(params=["unix", "rediss"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A server beside its usual port on a socket or with TLS: its URL, and its password."""
    folder = Path(tempfile.mkdtemp())  # the path of a socket is short
    socket = folder / "r.sock"
    plan = embedded_redis.plan_redis(tmp_path / "redis", port=quiet_port())
    if request.param == "unix":
        options: tuple[str, ...] = ("--unixsocket", str(socket), "--unixsocketperm", "700")
        url = f"unix://{socket}?password={plan.password}&db=1"
    else:
        (key, cert), port = certificate(tmp_path), quiet_port()
        files = ("--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-ca-cert-file", str(cert))
        options = ("--tls-port", str(port), *files, "--tls-auth-clients", "no")
        url = f"rediss://:{plan.password}@127.0.0.1:{port}/1?ssl_ca_certs={cert}"
    process = ChildProcess(ProcessSpec("redis", (*plan.argv, *options)), tmp_path / "log")
    process.start()
    assert process.pid is not None
    try:
        if process.wait(0.5) is not None and "TLS" in process.log_tail(20):
            pytest.skip(f"the server has no TLS: {process.log_tail(1)}")
        embedded_redis.wait_until_ready(plan, process.pid, has_ended=lambda: process.ended() is not None)
        embedded_redis.who_answers(url)
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
