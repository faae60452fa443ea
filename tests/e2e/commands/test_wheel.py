"""The wheel in a bare environment: only the declared dependencies, a folder of the user's own, and trades."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.fixtures.apps.running import Terminal
from tests.fixtures.apps.system import ROOT
from tests.fixtures.servers.ports import quiet_port
from tests.fixtures.servers.redis_server import RedisServer

SOURCES = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "celeryconfig.py",
    "trading",
    "configs",
    "adapters",
    "tasks",
    "worker",
    "beat",
    "trading_orchestrator",
)
NAME = "trading-orchestrator"

pytestmark = pytest.mark.timeout(300)


def needed(requirements: list[str], extra: str = "") -> Iterator[str]:
    """Yield the names of the distributions that requirements install."""
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield canonicalize_name(requirement.name)
            for extra_name in ["", *requirement.extras]:
                yield from needed(distribution(requirement.name).requires or [], extra_name)


def link(dist: Distribution, site: Path) -> None:
    """Make a distribution importable in another environment, without a copy."""
    for name in {file.parts[0] for file in dist.files or () if file.parts[0] != ".."}:
        target = Path(str(dist.locate_file(name)))
        if target.exists() and not (site / name).exists():
            (site / name).symlink_to(target)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python environment with the project's wheel and the distributions that the wheel declares, and no other."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(source))
    subprocess.run([*pip, *build], check=True)
    [wheel] = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    [site] = (folder / "venv" / "lib").glob("python*/site-packages")
    installed = Distribution.at(next(site.glob("*.dist-info")))
    for name in set(needed(installed.requires or [])):
        link(distribution(name), site)
    return python


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_wheel_in_a_bare_environment_trades_in_the_users_folder(
    bare: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    site = bare.parents[1] / "lib"
    before = files_below(site)
    environment = {
        "PATH": f"{bare.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "TRADING__REDIS_URL": redis_server.url,
        "TRADING__FLOWER_PORT": str(quiet_port()),
        "TRADING__SYMBOLS__XAUUSD__SOURCE__SPEED": "600",
    }

    def celery(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(bare), "-m", "celery", "-A", "tasks", "trading", *arguments]
        return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)

    rejected = celery("symbols", "remove", "BTCUSD")
    assert rejected.returncode == 1
    assert "celery -A tasks trading init" in rejected.stderr
    assert celery("init").returncode == 0
    assert "files exist" in celery("init").stderr

    terminal = Terminal(
        f"{bare} -m celery -A tasks trading up --no-table", cwd=home, env=environment, output=tmp_path / "output"
    )
    try:
        terminal.until(lambda: bool(_fills(celery("fills", "--json").stdout)), "a fill")
    finally:
        terminal.interrupt()
        terminal.close()

    assert {path.relative_to(home).parts[0] for path in home.iterdir()} == {"configs", ".gitignore", "var"}
    assert files_below(site) == before


def test_flower_of_the_wheel_without_a_password_listens_on_no_other_address(
    bare: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    command = [str(bare), "-m", "celery", "-A", "tasks", "flower", "--address=0.0.0.0", f"--port={quiet_port()}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TRADING__REDIS_URL": redis_server.url}

    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert "TRADING__FLOWER_PASSWORD" in ended.stderr


def _fills(printed: str) -> Any:
    return json.loads(printed) if printed.strip().startswith(("[", "{")) else []
