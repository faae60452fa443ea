"""Output of the commands: tables for terminals, JSON for programs."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from msgspec import Struct
from rich import box
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from trading_orchestrator.launcher.console import PlainConsole

PIPE_COLUMNS = 200
"""Width when stdout is not a terminal: a line that `grep` finds is not cut."""

MIDDLE, WIDE = 110, 150
"""Terminal widths in characters, from which a table shows more columns."""


class Output(PlainConsole):
    """A console that ends the command when the reader of stdout has exited."""

    def show(self, answer: RenderableType) -> None:
        """Print `answer`; when stdout is not a terminal, without trailing blanks."""
        if self.is_terminal:
            self.print(answer)
            return
        with self.capture() as captured:
            self.print(answer)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError("the reader of stdout has exited")


def make_console() -> Output:
    """Return a console for stdout, as wide as the terminal, without colour under `celery --no-color`."""
    context = click.get_current_context(silent=True)
    no_color = True if context and getattr(context.obj, "no_color", False) else None
    console = Output(no_color=no_color)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_COLUMNS
    return console


def print_json(answer: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(answer, indent=2, allow_nan=False))


class Column(Struct, frozen=True):
    """One column of a table.

    Attributes:
        cell: Returns the cell of a row.
        least_width: Terminal width in characters; a narrower terminal omits the column.
        is_number: Align to the right.
        is_prose: Take the rest of the line and wrap.
    """

    title: str
    cell: Callable[[Any], str | Text]
    least_width: int = 0
    is_number: bool = False
    is_prose: bool = False
    style: str = ""


def table(columns: Sequence[Column], rows: Iterable[Any], *, width: int) -> Table:
    """Draw rows as a table for a terminal of `width` characters."""
    shown = [column for column in columns if width >= column.least_width]
    has_prose = any(column.is_prose for column in shown)
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), expand=has_prose)
    for column in shown:
        drawn.add_column(
            column.title,
            style=column.style,
            justify="right" if column.is_number else "left",
            no_wrap=not column.is_prose,
            ratio=1 if column.is_prose else None,
            overflow="fold",
        )
    for row in rows:
        drawn.add_row(*(column.cell(row) for column in shown))
    return drawn


class Bar:
    """A progress bar."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None)

    def show(self, done: int, whole: int) -> None:
        """Show `done` of `whole`."""
        self._progress.update(self._task, completed=done, total=whole)

    def advance(self, count: int) -> None:
        """Add `count` to the work done."""
        self._progress.advance(self._task, count)


@contextmanager
def progress_bar(title: str) -> Iterator[Bar]:
    """Show a progress bar and remove it at the end."""
    console = PlainConsole(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, title)
