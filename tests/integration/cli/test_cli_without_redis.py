"""Commands that read Redis, without a Redis: one message with the action, and exit code 3."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.apps.system import ROOT
from tests.fixtures.servers.ports import quiet_port


@pytest.mark.parametrize("command", [["health"], ["status"], ["events"], ["pause", "XAUUSD"]], ids=" ".join)
def test_command_without_redis_ends_with_a_message_and_exit_code_3(command: list[str], tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TRADING__REDIS_URL": f"redis://:geheim@127.0.0.1:{quiet_port()}/0",
        "TRADING__VAR_DIR": str(tmp_path / "var"),
        "TRADING__CONFIG_DIR": str(ROOT / "configs"),
    }

    def trading(*arguments: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "celery", "-A", "tasks", "trading", *arguments]
        return subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)

    assert trading("ledger", "migrate").returncode == 0
    ended = trading(*command)

    assert ended.returncode == 3, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: redis: ")
    assert "Traceback" not in ended.stderr
    assert "geheim" not in ended.stderr
