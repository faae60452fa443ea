"""Check the machine: free disk space, and local file systems for SQLite files."""

import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa

from configs.settings import PREFIX, Settings
from worker.checks.check import Check, Health

LITTLE_DISK_BYTES = 1_000_000_000
NO_DISK_BYTES = 200_000_000
MOUNTS = Path("/proc/mounts")
NETWORK_KINDS = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "sshfs", "s3fs"}
)
"""Network file systems: machines share no memory there, so SQLite's write-ahead log breaks."""


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite URL; None for another database."""
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def sqlite_files(settings: Settings) -> list[Path]:
    """Return the SQLite files among ledger and paper books."""
    urls = (settings.ledger_url.get_secret_value(), settings.paper_url.get_secret_value())
    return [file for file in map(sqlite_file, urls) if file is not None]


def private_folder_checks(settings: Settings) -> list[Check]:
    """Check that no other user can read the var folder, which holds passwords, logs and books; empty without one."""
    folder = settings.var_dir
    if not folder.is_dir():
        return []
    mode = stat.S_IMODE(folder.stat().st_mode)
    found = f"{folder} has mode {mode:04o}"
    if not mode & 0o077:
        return [Check("var folder", Health.OK, found)]
    return [Check("var folder", Health.WARN, f"{found}: other users may read it", f"chmod 700 {folder}")]


def disks(folders: Iterable[Path]) -> list[Check]:
    """Check the free space of each folder, once per file system; for a missing folder, check its parent."""
    by_device: dict[int, Path] = {}
    for folder in map(existing, folders):
        by_device.setdefault(folder.stat().st_dev, folder)
    return [_disk(folder) for folder in by_device.values()]


def file_systems(settings: Settings, *, mounts: Path = MOUNTS) -> list[Check]:
    """Check for SQLite files on a network file system; empty where the system does not list its mounts."""
    if not mounts.exists():
        return []
    table = mounts.read_text(encoding="utf-8", errors="replace")
    folders = {file.parent: existing(file.parent) for file in sqlite_files(settings)}
    return [_file_system(folder, file_system_kind(real.resolve(), table)) for folder, real in folders.items()]


def file_system_kind(folder: Path, table: str) -> str:
    """Return the type of the file system that holds a folder, from a table in the form of `/proc/mounts`."""
    kind, longest = "", -1
    for line in table.splitlines():
        _, place, found, *_ = line.split(" ")
        mounted = Path(place.replace(r"\040", " ").replace(r"\011", "\t").replace(r"\134", "\\"))
        if folder.is_relative_to(mounted) and len(mounted.parts) >= longest:  # a later mount hides an earlier one
            kind, longest = found, len(mounted.parts)
    return kind


def existing(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _disk(folder: Path) -> Check:
    free_bytes = shutil.disk_usage(folder).free
    found = f"{free_bytes / 1e9:.1f} GB free in {folder}"
    if free_bytes >= LITTLE_DISK_BYTES:
        return Check("disk", Health.OK, found)
    health = Health.WARN if free_bytes >= NO_DISK_BYTES else Health.FAIL
    remedy = f"free disk space, or move the folder: {PREFIX}VAR_DIR=/another/folder"
    return Check("disk", health, found, remedy, endangers_orders=True)


def _file_system(folder: Path, kind: str) -> Check:
    found = f"{folder} is on {kind or 'an unknown file system'}"
    if kind.removeprefix("fuse.") not in NETWORK_KINDS:
        return Check("file system", Health.OK, found)
    remedy = (
        "SQLite's write-ahead log loses data on a network file system: use a local folder "
        f"({PREFIX}VAR_DIR=/another/folder), or PostgreSQL"
    )
    return Check("file system", Health.FAIL, found, remedy, endangers_orders=True)
