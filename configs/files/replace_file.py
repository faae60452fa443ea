"""Replace a file atomically, with a copy of the old content beside it."""

import os
import shutil
import tempfile
from pathlib import Path

from trading.errors import Rejected


def replace_file(path: Path, *, before: str, after: str) -> Path:
    """Replace a file with content `before` by `after` atomically; a copy of the old content stays beside it.

    Returns:
        The path of the copy.

    Raises:
        Rejected: The file was changed in the meantime.
        OSError: It cannot be written.
    """
    target = path.resolve()
    if target.read_bytes() != before.encode():
        raise Rejected("file_changed", f"{path} was changed by another process meanwhile; review it and retry")
    kept = target.with_name(f"{target.name}.bak")
    shutil.copy2(target, kept)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(after.encode())
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, name)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return kept
