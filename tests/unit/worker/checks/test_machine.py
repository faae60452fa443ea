"""The file system of a folder, and those that are unsuitable for SQLite."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from configs.settings import Settings
from worker.checks.check import Health
from worker.checks.machine import file_system_kind, file_systems, private_folder_checks

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
tmpfs /run tmpfs rw 0 0
server:/books /books nfs4 rw,vers=4.2 0 0
/dev/vdb /books/local xfs rw 0 0
//nas/share /mnt/my\\040share cifs rw 0 0
me@host:/ /mnt/ssh fuse.sshfs rw 0 0
drvfs /mnt/c 9p rw 0 0
/dev/vdc /mnt/c ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/books", "nfs4"),
        ("/books/deep/down", "nfs4"),
        ("/bookshop", "ext4"),
        ("/books/local/one", "xfs"),
        ("/mnt/my share/var", "cifs"),
        ("/mnt/ssh/var", "fuse.sshfs"),
        ("/mnt/c/var", "ext4"),
    ],
)
def test_folder_is_held_by_the_nearest_mount_and_the_last_one_there(folder: str, kind: str) -> None:
    assert file_system_kind(Path(folder), MOUNTS) == kind


@pytest.mark.parametrize(("kind", "health"), [("ext4", Health.OK), ("nfs", Health.FAIL), ("fuse.sshfs", Health.FAIL)])
def test_sqlite_on_a_network_is_refused_and_postgresql_is_not_checked(
    tmp_path: Path, kind: str, health: Health
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nsomewhere {tmp_path.resolve()} {kind} rw 0 0\n")
    settings = Settings(var_dir=tmp_path)
    elsewhere = settings.model_copy(
        update=dict.fromkeys(("ledger_url", "paper_url"), SecretStr("postgresql+psycopg://host/books"))
    )

    checks = file_systems(settings, mounts=mounts)

    assert [(check.health, check.is_refusal) for check in checks] == [(health, health is Health.FAIL)]
    assert file_systems(elsewhere, mounts=mounts) == []
    assert file_systems(settings, mounts=tmp_path / "no-such-file") == []


@pytest.mark.parametrize(("mode", "health"), [(0o700, Health.OK), (0o755, Health.WARN), (0o710, Health.WARN)])
def test_var_folder_that_others_may_read_is_a_warning_with_the_command(
    tmp_path: Path, mode: int, health: Health
) -> None:
    tmp_path.chmod(mode)

    (check,) = private_folder_checks(Settings(var_dir=tmp_path))

    assert check.health is health
    assert (f"chmod 700 {tmp_path}" == check.remedy) == (health is Health.WARN)


def test_var_folder_that_is_missing_is_not_checked(tmp_path: Path) -> None:
    assert private_folder_checks(Settings(var_dir=tmp_path / "none")) == []
