"""One launcher for each var folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from trading.errors import Broken


@contextmanager
def launch_lock(var_dir: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it however the process ends.

    Raises:
        Broken: Another launcher holds it, or nothing can be written there.
    """
    path = var_dir / "launcher.lock"
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = path.read_text(encoding="utf-8").strip() or "unknown"
            raise Broken(
                f"the folder {var_dir} is in use by a launcher that runs as process {pid}. Stop that one with Ctrl-C "
                f"in its terminal or `kill {pid}`, or give this one a folder of its own: TRADING__VAR_DIR=var2"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise Broken(
            f"nothing can be written in the folder {path.parent} ({error.strerror}): make it yours, or give the "
            "launcher another one: TRADING__VAR_DIR=var2"
        ) from error
