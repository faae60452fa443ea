"""Private files of the var folder, and the lock on it."""

import os
import socket
from pathlib import Path

import pytest

from adapters.database import create_engine
from trading.errors import Broken
from trading_orchestrator.launcher import child_process
from trading_orchestrator.launcher.child_process import ChildProcess, ProcessSpec
from trading_orchestrator.launcher.lock import launch_lock
from trading_orchestrator.launcher.var_files import (
    kept_password,
    only_for_owner,
    private_folder,
    short_path,
    write_private,
)


def test_private_file_written_twice_holds_the_newer_text_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "url"

    write_private(path, "first")
    write_private(path, "second")

    assert path.read_text() == "second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_was_open_to_all_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    folder.mkdir(mode=0o755)

    private_folder(folder)

    assert folder.stat().st_mode & 0o777 == 0o700


def test_password_is_long_and_the_same_at_each_call(tmp_path: Path) -> None:
    password = kept_password(tmp_path / "flower" / "password")

    assert len(password) >= 32
    assert kept_password(tmp_path / "flower" / "password") == password


def test_path_below_the_current_folder_is_shown_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert short_path(tmp_path / "var" / "log") == "var/log"
    assert short_path(Path("/elsewhere")) == "/elsewhere"


def test_folder_held_by_a_launcher_is_rejected_with_its_pid_and_the_way_out(tmp_path: Path) -> None:
    with launch_lock(tmp_path), pytest.raises(Broken) as refused, launch_lock(tmp_path):
        pytest.fail("two launchers hold one folder")

    assert f"process {os.getpid()} on {socket.gethostname()}, started in {Path.cwd()}. Stop it" in str(refused.value)
    assert "TRADING__VAR_DIR" in str(refused.value)


def test_folder_in_which_nothing_can_be_written_is_rejected_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Broken, match=r"is not writable .*TRADING__VAR_DIR"), launch_lock(tmp_path / "file"):
        pytest.fail("a file was taken for a folder")


def test_folder_let_go_of_can_be_held_again(tmp_path: Path) -> None:
    for _ in range(2):
        with launch_lock(tmp_path):
            assert (tmp_path / "launcher.lock").read_text().splitlines() == [
                str(os.getpid()),
                socket.gethostname(),
                str(Path.cwd()),
            ]


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o750])
def test_var_folder_that_others_may_read_is_closed_by_the_launcher(tmp_path: Path, mode: int) -> None:
    var = tmp_path / "var"
    var.mkdir()
    var.chmod(mode)

    with launch_lock(var):
        assert var.stat().st_mode & 0o777 == 0o700
        assert (var / "launcher.lock").stat().st_mode & 0o777 == 0o600


def test_var_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        with launch_lock(tmp_path / "var"), only_for_owner():
            (tmp_path / "var" / "file").touch()
    finally:
        os.umask(former)

    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "var" / "file").stat().st_mode & 0o777 == 0o600


def test_var_folder_shared_by_all_users_is_rejected_unchanged(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)

    with pytest.raises(Broken, match="shared by all users"), launch_lock(tmp_path):
        pytest.fail("a shared folder was taken")

    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


def planted(path: Path, kind: str, victim: Path) -> None:
    victim.write_text("precious")
    if kind == "symbolic":
        path.symlink_to(victim)
    elif kind == "hard":
        path.hardlink_to(victim)
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("kind", ["symbolic", "hard", "pipe"])
def test_lock_that_is_a_link_or_a_pipe_is_rejected_and_its_target_kept(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "var").mkdir()
    planted(tmp_path / "var" / "launcher.lock", kind, victim)

    with pytest.raises(Broken, match=r"launcher\.lock is not a plain file"), launch_lock(tmp_path / "var"):
        pytest.fail("the lock was written through a link")

    assert victim.read_text() == "precious"


@pytest.mark.parametrize("kind", ["symbolic", "hard", "pipe"])
def test_log_that_is_a_link_or_a_pipe_is_rejected_and_its_target_kept(tmp_path: Path, kind: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "log"
    folder.mkdir()
    planted(folder / "worker-XAUUSD.log", kind, victim)
    child = ChildProcess(ProcessSpec("worker-XAUUSD", ("echo", "forged")), folder)

    with pytest.raises(Broken, match=r"worker-XAUUSD\.log is not a plain file"):
        child.start()

    assert victim.read_text() == "precious"


def test_log_and_its_rotated_part_are_private_and_the_rotation_follows_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "LOG_LIMIT_BYTES", 10)
    victim, log = tmp_path / "victim", tmp_path / "log" / "worker.log"
    child = ChildProcess(ProcessSpec("worker", ("echo", "a line of the worker")), tmp_path / "log")
    child.start()
    assert child.wait(30.0) == 0
    planted(tmp_path / "log" / "worker.log.1", "symbolic", victim)

    child.keep_log_short()

    assert victim.read_text() == "precious"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "log" / "worker.log.1").read_text() == "he worker\n"
    assert log.read_text() == ""
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "log").iterdir()} == {0o600}


def test_ledger_file_and_its_folder_are_private_whatever_the_umask(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        engine = create_engine(f"sqlite:///{tmp_path}/var/ledger.sqlite3")
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE some (x INTEGER)")
            modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "var").iterdir()}
        engine.dispose()
    finally:
        os.umask(former)

    assert modes == {0o600}
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
