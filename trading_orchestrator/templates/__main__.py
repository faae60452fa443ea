"""Copies the templates into a package of your own."""

import importlib.resources
from collections.abc import Mapping
from pathlib import Path

import click

PACKAGE = "trading_orchestrator.templates"
MODULES = ("client.py", "exchange.py", "source.py", "venue.py")
TESTS = ("test_source.py", "test_venue.py")


def files_of(name: str) -> Mapping[Path, str]:
    """Return the text of each file of the package `name`, by its path in the project's folder."""
    templates = importlib.resources.files(PACKAGE)

    def text(*parts: str) -> str:
        written = templates.joinpath(*parts).read_text(encoding="utf-8")
        return written.replace(PACKAGE, "acme").replace("acme", name).replace("Acme", _title(name))

    return {
        Path("pyproject.toml"): text("pyproject.template"),
        Path(name, "__init__.py"): f'"""The {_title(name)} exchange for trading-orchestrator."""\n',
        **{Path(name, module): text(module) for module in MODULES},
        **{Path("tests", test): text("tests", test) for test in TESTS},
        Path("configs", "services.yaml"): (importlib.resources.files("configs") / "services.yaml").read_text("utf-8"),
    }


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


@click.command()
@click.argument("name")
def main(name: str) -> None:
    """Write the package NAME, a venue and a candle source with their tests, into the current folder."""
    if not (name.isidentifier() and name.islower()):
        raise click.BadParameter(f"{name!r}; expected a name of a Python package: lower-case letters, digits and _")
    files = files_of(name)
    existing = [str(path) for path in files if path.exists()]
    if existing:
        raise click.ClickException(f"these files exist: {', '.join(existing)}; run the command in an empty folder")
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(path)


if __name__ == "__main__":
    main()
