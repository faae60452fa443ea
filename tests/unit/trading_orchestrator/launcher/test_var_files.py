"""Private files of the var folder, and the lock on it."""

import os
from pathlib import Path

import pytest

from trading.errors import Broken
from trading_orchestrator.launcher.lock import launch_lock
from trading_orchestrator.launcher.var_files import kept_password, private_folder, short_path, write_private


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


def test_folder_held_by_a_launcher_is_refused_with_its_pid_and_the_way_out(tmp_path: Path) -> None:
    with launch_lock(tmp_path), pytest.raises(Broken) as refused, launch_lock(tmp_path):
        pytest.fail("two launchers hold one folder")

    assert f"process {os.getpid()}" in str(refused.value)
    assert "TRADING__VAR_DIR" in str(refused.value)


def test_folder_in_which_nothing_can_be_written_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Broken, match=r"is not writable .*TRADING__VAR_DIR"), launch_lock(tmp_path / "file"):
        pytest.fail("a file was taken for a folder")


def test_folder_let_go_of_can_be_held_again(tmp_path: Path) -> None:
    for _ in range(2):
        with launch_lock(tmp_path):
            assert (tmp_path / "launcher.lock").read_text() == f"{os.getpid()}\n"
