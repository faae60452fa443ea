"""Allow one launcher per var folder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from trading.errors import Broken
from trading_orchestrator.launcher.var_files import open_private, private_var


@contextmanager
def launch_lock(var_dir: Path) -> Iterator[None]:
    """Lock the folder for this process; the system releases the lock however the process ends.

    Raises:
        Broken: Another launcher holds the lock, or the folder is not writable.
    """
    path = var_dir / "launcher.lock"
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, where = _holder(path.read_text(encoding="utf-8"))
            raise Broken(
                f"the folder {var_dir} is in use by the launcher of process {pid}{where}. Stop it with Ctrl-C in its "
                f"terminal or `kill {pid}`, or set another folder for this one: TRADING__VAR_DIR=var2"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n{socket.gethostname()}\n{Path.cwd()}\n")
        file.flush()
        yield


def _holder(text: str) -> tuple[str, str]:
    """Return process id, and host and folder as text, of a lock file; older versions wrote the id alone."""
    pid, *where = text.splitlines() or ["unknown"]
    return pid, f" on {where[0]}, started in {where[1]}" if len(where) == 2 else ""


def _opened(path: Path) -> TextIO:
    try:
        private_var(path.parent)
        return os.fdopen(open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+", encoding="utf-8")
    except OSError as error:
        raise Broken(
            f"the folder {path.parent} is not writable ({error.strerror}): change its owner, or set another one: "
            "TRADING__VAR_DIR=var2"
        ) from error
