"""Files under the var folder: private files, and short paths for display."""

import os
import secrets
from pathlib import Path

PASSWORD_BYTES = 24


def private_folder(folder: Path) -> Path:
    """Create a folder of mode 0700 and return it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 atomically."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
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
