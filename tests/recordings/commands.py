"""A recording opened on a copy, and what the commands of the installed version answer of it."""

import gzip
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from click import Command
from click.testing import CliRunner

from tests.fixtures.servers.redis_server import RedisServer

Json = Any
MANY = "100000"


@dataclass(frozen=True)
class Recorded:
    """A copy of a recording on a server of its own, asked by the command that a person uses."""

    environment: Mapping[str, str]

    def run(self, *arguments: str, exit_codes: Sequence[int] = (0,)) -> str:
        """Run `celery trading ARGUMENTS` in this process, and return what it prints."""
        result = CliRunner().invoke(_trading(), list(arguments), env=dict(self.environment))
        assert result.exit_code in exit_codes, f"{arguments}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        return result.stdout

    def call(self, *arguments: str, exit_codes: Sequence[int] = (0,)) -> Json:
        """Return the answer of a command that prints one JSON document."""
        return json.loads(self.run(*arguments, "--json", exit_codes=exit_codes))

    def call_lines(self, *arguments: str) -> list[Json]:
        """Return the answer of a command that prints a JSON object a line."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]


@contextmanager
def opened(recording: Path, folder: Path) -> Iterator[Recorded]:
    """Copy a recording into a folder, start a server on its append-only files, and migrate its ledger."""
    var = folder / "var"
    var.mkdir(parents=True)
    for name in ("ledger", "paper"):
        (var / f"{name}.sqlite3").write_bytes(gzip.decompress((recording / f"{name}.sqlite3.gz").read_bytes()))
    server = RedisServer(folder / "server")
    with tarfile.open(recording / "appendonlydir.tar.gz") as archive:
        archive.extractall(server.plan.folder, filter="data")
    server.start()
    try:
        record = Recorded(
            {
                "TRADING__REDIS_URL": server.url,
                "TRADING__VAR_DIR": str(var),
                "TRADING__CONFIG_DIR": str(recording / "configs"),
                "COLUMNS": "200",
            }
        )
        record.run("ledger", "migrate")
        yield record
    finally:
        server.stop()


def instant(open_ms: int) -> str:
    return datetime.fromtimestamp(open_ms / 1000, UTC).isoformat()


def _trading() -> Command:
    """Return `celery trading`, found as Celery finds it."""
    (found,) = entry_points(group="celery.commands", name="trading")
    command: Command = found.load()
    return command
