"""The pages on writing a venue and a source, followed as they stand, in a folder outside the project."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.settings import PREFIX
from tests.fixtures.apps.running import ROOT, Terminal
from tests.fixtures.servers.ports import quiet_port
from tests.fixtures.servers.redis_server import RedisServer
from trading_orchestrator.templates.client import Client

PORT = "8890"
"""The port on the pages; a test takes a free one."""
FILL_S = 180.0
UNTIL_ENDED = ("python -m acme.exchange", "celery -A tasks trading up")

pytestmark = pytest.mark.timeout(900)


def environment_in(folder: Path) -> Path:
    """Make a virtual environment with all packages of ours, to install one more into it; return its Python."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    own, ours = (sysconfig.get_path("purelib", vars={"base": str(base)}) for base in (folder, sys.prefix))
    Path(own, "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")
    celery = folder / "bin" / "celery"
    celery.write_text(f"#!{python}\nfrom celery.__main__ import main\n\nmain()\n", encoding="utf-8")
    celery.chmod(0o755)
    return python


class Reader:
    """A user who follows a page: an empty folder, and an environment in which the trading orchestrator is installed."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        self.folder = folder / "acme-adapter"
        self.folder.mkdir()
        self.terminals: list[Terminal] = []
        self.port = str(quiet_port())
        python = environment_in(folder / "venv")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            f"{PREFIX}REDIS_URL": redis.url,
        }

    def follow(self, language: str, text: str) -> None:
        """Do what a block of a page asks for."""
        text = text.replace(PORT, self.port)
        if language == "yaml":
            (self.folder / "configs" / "symbols.yaml").write_text(text, encoding="utf-8")
        elif language == "console":
            for command in re.findall(r"^\$ (.+)$", text, flags=re.MULTILINE):
                self._type(command)
        else:
            assert any(text in path.read_text(encoding="utf-8") for path in self._files()), text

    def run(self, command: str) -> str:
        """Run a command to its end, and return its output."""
        answer = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, f"{command}\n{answer.stdout}{answer.stderr}{self.logs()}"
        return answer.stdout

    def until_filled(self) -> None:
        """Wait until the ledger, which the launcher makes before it starts the workers, has a fill."""
        self.terminals[-1].wait_for_output("ledger at revision")
        deadline_s = time.monotonic() + FILL_S
        while self.run("celery -A tasks trading fills --json").strip() in {"", "[]"}:
            assert time.monotonic() < deadline_s, f"no fill within {FILL_S:g} s\n{self.logs()}"
            assert all(terminal.process.poll() is None for terminal in self.terminals), self.logs()

    def logs(self) -> str:
        written = sorted((self.folder / "var").rglob("*.log")) if self.terminals else []
        texts = [path.read_text(encoding="utf-8", errors="replace")[-2_000:] for path in written]
        return "\n".join([*(terminal.text[-3_000:] for terminal in self.terminals), *texts])

    def close(self) -> None:
        for terminal in reversed(self.terminals):
            terminal.close()

    def _type(self, command: str) -> None:
        if command.startswith(UNTIL_ENDED):
            output = self.folder.parent / f"terminal-{len(self.terminals)}"
            self.terminals.append(Terminal(command, cwd=self.folder, env=self._environment, output=output))
            return
        if self.terminals:  # the page says to wait for a minute
            self.until_filled()
        self.run(command)

    def _files(self) -> Iterator[Path]:
        yield from self.folder.rglob("*.py")
        yield from self.folder.glob("*.toml")


@pytest.fixture
def reader(tmp_path: Path, own_redis: RedisServer) -> Iterator[Reader]:
    reader = Reader(tmp_path, own_redis)
    yield reader
    reader.close()


def blocks(page: str) -> list[tuple[str, str]]:
    """Return (language, text) of each block of a page, in order."""
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", ["write-a-venue.md", "write-a-source.md"])
def test_page_followed_outside_the_project_leads_to_a_filled_order(reader: Reader, page: str) -> None:
    for language, text in blocks(page):
        reader.follow(language, text)

    assert not reader.folder.is_relative_to(ROOT)
    assert "XAUUSD" in reader.run("celery -A tasks trading fills --json")
    if page == "write-a-venue.md":
        assert Client(f"http://127.0.0.1:{reader.port}").call("fills", {"symbol": "XAUUSD", "after": 0}, list)
    else:
        listed = json.loads(reader.run("celery -A tasks trading symbols list --json"))["symbols"]
        assert [row["source"].split()[0] for row in listed if row["symbol"] == "XAUUSD"] == ["acme"]
