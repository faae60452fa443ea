"""Files under the var folder: private files, and short paths for display."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trading.errors import Broken

PASSWORD_BYTES = 24


def private_folder(folder: Path) -> Path:
    """Create a folder of mode 0700 and return it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def private_var(folder: Path) -> None:
    """Create the var folder with mode 0700, or take the rights of other users from an existing one.

    Raises:
        Broken: It is a folder that users share, such as /tmp, or it belongs to another user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = folder.stat().st_mode
    if mode & stat.S_ISVTX:
        raise Broken(f"the folder {folder} is shared by all users: set another one, TRADING__VAR_DIR={folder}/trading")
    if not mode & 0o077:
        return
    try:
        folder.chmod(0o700)
    except PermissionError:
        raise Broken(
            f"the folder {folder} is open to other users (mode {stat.S_IMODE(mode):04o}) and belongs to another user: "
            "let its owner run chmod 700, or set another one: TRADING__VAR_DIR=var2"
        ) from None


@contextmanager
def only_for_owner() -> Iterator[None]:
    """Give every file that this process and its children create to their owner alone, whatever the umask was."""
    former = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(former)


def open_private(path: Path, flags: int) -> int:
    """Open a file of the var folder, creating it with mode 0600 if `flags` say so, and return its descriptor.

    Raises:
        Broken: The path is a link, has a second name, or is no regular file: writing would change something else.
        OSError: As `os.open`.
    """
    fault = f"{path} is not a plain file of its own but a link or a special file: remove it"
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link; a pipe or socket
            raise Broken(fault) from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise Broken(fault)
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file of mode 0600 atomically."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    draft.replace(path)


def kept_password(path: Path) -> str:
    """Return the password in a file; the first call generates one of letters, digits, `-` and `_`."""
    if not path.exists():
        private_folder(path.parent)
        write_private(path, secrets.token_urlsafe(PASSWORD_BYTES) + "\n")
    return path.read_text(encoding="utf-8").strip()


def short_path(path: Path) -> str:
    """Return a path relative to the current folder if it is below it, else unchanged."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
