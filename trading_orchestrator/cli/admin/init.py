"""`trading init`: create the configuration files of a new system."""

from importlib.resources import files
from pathlib import Path

import click

from configs.files.json_schema import SERVICES, SYMBOLS
from trading_orchestrator.cli.exit_codes import ExitCode, Failed
from trading_orchestrator.launcher.var_files import short_path

IGNORED = "var/\n__pycache__/\n"


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Create the configuration files of a new system in FOLDER, by default the current one.

    Creates configs/services.yaml, configs/symbols.yaml and .gitignore. An existing file is never replaced.
    """
    shipped = files("configs")
    texts = {
        folder / "configs" / SERVICES: (shipped / SERVICES).read_text("utf-8"),
        folder / "configs" / SYMBOLS: (shipped / SYMBOLS).read_text("utf-8"),
        folder / ".gitignore": IGNORED,
    }
    if existing := [str(path) for path in texts if path.exists()]:
        raise Failed(ExitCode.NO, f"files exist: {', '.join(existing)}\nchoose another folder, or remove the files")
    for path, text in texts.items():
        _write_new(path, text)
        click.echo(f"created {short_path(path)}")
    there = "" if folder.resolve() == Path.cwd() else f"cd {folder}\n"
    click.echo(f"next:\n{there}celery -A tasks trading config check\ncelery -A tasks trading up")


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        reason = f"{path} cannot be created: {error.strerror}"
        raise Failed(ExitCode.NO, f"{reason}\nchoose a folder that you can write to") from None
